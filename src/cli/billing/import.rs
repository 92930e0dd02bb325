//! `billing import` and `billing remove`.

use super::{ALWAYS, Context, out};
use crate::ingest::billing::{Input, read};
use crate::model::{Bill, BillingFile, BillingSource, Charge, Covered, Standing, Timestamp};
use crate::report::format::thousands;
use crate::store::Bills;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The largest file that is read.
const LIMIT: u64 = 512 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ImportArgs {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// How rows are taken that stand beside others.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct How {
    /// The organisation or workspace that is billed [default: what the file says, else openai or chatgpt]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The files are whole: what is stored of the same days (or invoices) and is not in them no longer counts
    #[arg(long, conflicts_with = "part")]
    pub whole: bool,
    /// The files are parts (of some projects, keys or users): what is stored beside them still counts
    #[arg(long)]
    pub part: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RemoveArgs {
    /// The SHA-256 of the file, or the beginning of it; `billing list --files` has them
    #[arg(value_name = "HASH")]
    hash: String,
}

pub(super) fn run(context: &Context, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        let done = read_file(path).and_then(|bytes| {
            let name = path.file_name().unwrap_or(path.as_os_str()).display().to_string();
            import(&mut store, &name, &bytes, &args.how, None)
        });
        match done {
            Ok(said) => out::talk(&format!("{}: {said}", path.display())),
            Err(e) => {
                out::talk(&format!("error: {}: {e:#}", path.display()));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path).context("cannot read it")?.len();
    if size > LIMIT {
        bail!("it is larger than {} MiB; export fewer days at once", LIMIT / 1024 / 1024);
    }
    std::fs::read(path).context("cannot read it")
}

/// What was asked for: a source and a time.
pub(super) type Asked = (BillingSource, (Timestamp, Timestamp));

/// Stores a file, whole or not at all; says what became of it. `asked` is what it is of, if that is known.
pub(super) fn import(
    store: &mut SqliteStore,
    name: &str,
    bytes: &[u8],
    how: &How,
    asked: Option<Asked>,
) -> anyhow::Result<String> {
    let sha256: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    let bill = store.bill(ALWAYS)?;
    if let Some(known) = store.billing_files()?.iter().find(|file| file.sha256 == sha256) {
        says_the_same(known, &bill, asked)?;
        return Ok(format!(
            "imported before, on {} as {} ({} rows); nothing was added",
            known.imported.day(),
            known.name,
            thousands(known.rows)
        ));
    }
    let mut made = read(Input { bytes, sha256: &sha256, account: how.account.as_deref() })?;
    if made.charges.is_empty() && how.whole {
        made.covers = vec![of_nothing(&bill, how.account.as_deref(), asked)?];
    }
    of_one_account(&bill, &made.charges, how.part)?;
    let missing = bill.missing_in(&made.covers, &made.charges);
    if !how.whole {
        fits_beside(&missing, &made.charges, how.part)?;
    }
    let replaced = replaced(&bill, &made.charges);
    let file = BillingFile {
        sha256,
        name: name.to_string(),
        imported: Timestamp(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0)),
        rows: made.charges.len() as u64,
        covers: made.covers,
        whole: how.whole,
        part: how.part,
        ignored: made.ignored,
    };
    let gone = if how.whole { missing.len() } else { 0 };
    let mut said = vec![format!("{} rows, {}", thousands(file.rows), times(&file.covers, &made.charges))];
    if replaced.0 + replaced.1 > 0 {
        let (same, other) = (thousands(replaced.0), thousands(replaced.1));
        said.push(format!("{same} were there and say the same, {other} say something else and count from now on"));
    }
    if gone > 0 {
        said.push(format!("{} rows of earlier files are not in it and no longer count", thousands(gone as u64)));
    }
    if !file.ignored.is_empty() {
        let names = file.ignored.iter().map(|(field, n)| format!("{field} ({n})")).collect::<Vec<_>>().join(", ");
        said.push(format!("fields that are not used: {names}"));
    }
    let rounded = made.charges.iter().filter(|c| c.money.as_ref().is_some_and(|m| m.written.is_some())).count();
    if rounded > 0 {
        said.push(format!("{} amounts have more than 12 digits and are rounded to 12", thousands(rounded as u64)));
    }
    if made.has_more {
        said.push("warning: its last page says that there are more pages".to_string());
    }
    if !store.add_bill(&file, &made.charges)? {
        return Ok("was imported by another process at this moment; nothing was added".to_string());
    }
    Ok(said.join("; "))
}

/// What a whole file without rows is of. An account that is not named is the one whose rows it takes back.
fn of_nothing(bill: &Bill, account: Option<&str>, asked: Option<Asked>) -> anyhow::Result<Covered> {
    let Some(asked) = asked else {
        bail!(
            "it has no row, so it does not say what it is of, and takes nothing back. If nothing was billed on days of which rows are \
             stored, run `codex-tally billing fetch` for them, or remove their files: `codex-tally billing list --files` has these"
        )
    };
    let stored: BTreeSet<&str> = standing(bill, asked).map(|charge| charge.account.as_str()).collect();
    let (source, (start, end)) = asked;
    let usual = if source == BillingSource::Workspace { "chatgpt" } else { "openai" };
    let account = match (account, stored.len()) {
        (Some(account), _) => account,
        (None, 0 | 1) => stored.first().copied().unwrap_or(usual),
        _ => bail!("it has no row, and rows of several accounts are stored; name the account with --account"),
    };
    Ok(Covered { source, account: account.to_string(), invoice: String::new(), start, end })
}

/// The charges of a source and time that nothing has replaced.
fn standing(bill: &Bill, (source, (start, end)): Asked) -> impl Iterator<Item = &Charge> {
    let stands = bill.charges.iter().filter(|(_, standing)| !matches!(standing, Standing::Superseded(_)));
    stands.map(|(charge, _)| charge).filter(move |c| c.source == source && c.start < end && start < c.end)
}

/// An answer without rows may be the same for other days.
fn says_the_same(known: &BillingFile, bill: &Bill, asked: Option<Asked>) -> anyhow::Result<()> {
    let Some(asked) = asked.filter(|_| known.rows == 0) else { return Ok(()) };
    let (source, (start, end)) = asked;
    let is_told = known.covers.iter().any(|c| c.source == source && c.start <= start && end <= c.end);
    let left = standing(bill, asked).count();
    if !is_told && left > 0 {
        bail!(
            "it has no row, and {} rows of these days are stored and still count; remove their files: `codex-tally billing list --files` \
             has these",
            thousands(left as u64)
        );
    }
    Ok(())
}

/// An invoice is of the same accounts as before: else its rows would count for both.
fn of_one_account(bill: &Bill, new: &[Charge], is_part: bool) -> anyhow::Result<()> {
    let of_invoices = |charge: &&Charge| charge.source == BillingSource::Invoice;
    let mut accounts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut lines: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for charge in new.iter().filter(of_invoices) {
        accounts.entry(&charge.invoice).or_default().insert(&charge.account);
        lines.insert((&charge.invoice, &charge.key), &charge.account);
    }
    let stands = bill.charges.iter().filter(|(_, standing)| !matches!(standing, Standing::Superseded(_)));
    for stored in stands.map(|(charge, _)| charge).filter(of_invoices) {
        let Some(said) = accounts.get(stored.invoice.as_str()) else { continue };
        let moved = lines.get(&(stored.invoice.as_str(), stored.key.as_str())).filter(|said| **said != stored.account);
        let other = said.first().filter(|_| !is_part && !said.contains(stored.account.as_str()));
        if let Some(now) = moved.or(other) {
            bail!(
                "invoice {} is stored for the account {} (file {} row {}), and here it is of {now}: both would count. Say whose it is \
                 with --account {}, or in the column account; or forget what is stored first: codex-tally billing remove {}",
                stored.invoice,
                stored.account,
                crate::ingest::cut(&stored.origin.file, 12),
                stored.origin.row,
                stored.account,
                crate::ingest::cut(&stored.origin.file, 12)
            );
        }
    }
    Ok(())
}

/// Refuses what could count twice.
fn fits_beside(missing: &[&Charge], new: &[Charge], is_part: bool) -> anyhow::Result<()> {
    let Some(first) = missing.first() else { return Ok(()) };
    let what = format!(
        "{} stored rows of the same days or invoices are not in it (the first: {} {} {}, file {} row {})",
        thousands(missing.len() as u64),
        first.source.name(),
        first.start.day(),
        first.key,
        crate::ingest::cut(&first.origin.file, 12),
        first.origin.row
    );
    if !is_part {
        bail!(
            "{what}, so that both could count. If this file is a whole, later export of these days (also with other groups), import \
             it with --whole; if it is of other projects, keys or users than what is stored, with --part"
        );
    }
    // The same days in other lengths are no other rows, but the same ones. Days apart are.
    let times: BTreeSet<_> = new.iter().map(|c| (c.source, c.account.as_str(), c.start, c.end)).collect();
    let clashes = |c: &&&Charge| {
        let overlaps = |(source, account, start, end): &(BillingSource, &str, Timestamp, Timestamp)| {
            let of_it = (*source, *account) == (c.source, c.account.as_str()) && *start < c.end && c.start < *end;
            of_it && (*start, *end) != (c.start, c.end)
        };
        c.invoice.is_empty() && times.iter().any(overlaps)
    };
    if let Some(other) = missing.iter().find(clashes) {
        bail!(
            "{what}, and buckets of other lengths overlap ({} to {} is stored): these are no parts of one export; export with the same \
             bucket_width, or import it with --whole",
            other.start.to_rfc3339(),
            other.end.to_rfc3339()
        );
    }
    Ok(())
}

/// How many of the new rows are stored and say the same, and how many say something else.
fn replaced(bill: &Bill, new: &[Charge]) -> (u64, u64) {
    let stands = bill.charges.iter().filter(|(_, standing)| !matches!(standing, Standing::Superseded(_)));
    let stored: std::collections::HashMap<_, _> = stands.map(|(charge, _)| (charge.id(), charge)).collect();
    let (mut same, mut other) = (0, 0);
    for charge in new {
        let Some(known) = stored.get(&charge.id()) else { continue };
        let equal = (&known.money, known.credits, known.usage, &known.quantity, known.requests)
            == (&charge.money, charge.credits, charge.usage, &charge.quantity, charge.requests);
        *(if equal { &mut same } else { &mut other }) += 1;
    }
    (same, other)
}

fn times(covers: &[Covered], charges: &[Charge]) -> String {
    let (first, last) = (charges.iter().map(Charge::first_day).min(), charges.iter().map(Charge::last_day).max());
    let mut of: Vec<&str> = covers.iter().map(|covered| covered.source.name()).collect();
    of.dedup();
    let mut accounts: Vec<&str> = covers.iter().map(|covered| covered.account.as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    match first.zip(last) {
        Some((first, last)) => format!("{} of {}, {first} to {last}", of.join(" and "), accounts.join(" and ")),
        None => "nothing was billed in it".to_string(),
    }
}

pub(super) fn remove(context: &Context, args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let mut store = context.open()?;
    let files = store.billing_files()?;
    let hash = args.hash.to_ascii_lowercase();
    let found: Vec<&BillingFile> =
        files.iter().filter(|file| !hash.is_empty() && file.sha256.starts_with(&hash)).collect();
    let file = match found.as_slice() {
        [file] => file,
        [] => {
            bail!("no imported file has a hash that begins with `{hash}`; `codex-tally billing list --files` has them")
        }
        many => bail!("{} files have hashes that begin with `{hash}`; give more of it", many.len()),
    };
    store.remove_bill(&file.sha256)?;
    out::talk(&format!("{} ({}, {} rows) is no longer stored", file.name, file.sha256, thousands(file.rows)));
    Ok(ExitCode::SUCCESS)
}
