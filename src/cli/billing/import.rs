//! `billing import` and `billing remove`.

use super::{ALWAYS, Context, out};
use crate::ingest::billing::{Input, read};
use crate::model::{Bill, BillingFile, Charge, Covered, Timestamp};
use crate::report::format::thousands;
use crate::store::Bills;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
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
            import(&mut store, &name, &bytes, &args.how)
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

/// Stores a file, whole or not at all; says what became of it.
pub(super) fn import(store: &mut SqliteStore, name: &str, bytes: &[u8], how: &How) -> anyhow::Result<String> {
    let sha256: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    if let Some(known) = store.billing_files()?.iter().find(|file| file.sha256 == sha256) {
        return Ok(format!(
            "imported before, on {} as {} ({} rows); nothing was added",
            known.imported.day(),
            known.name,
            thousands(known.rows)
        ));
    }
    let made = read(Input { bytes, sha256: &sha256, account: how.account.as_deref() })?;
    let bill = store.bill(ALWAYS)?;
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
    let times: BTreeSet<_> = new.iter().map(|charge| (charge.start, charge.end)).collect();
    if let Some(other) = missing.iter().find(|c| c.invoice.is_empty() && !times.contains(&(c.start, c.end))) {
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
    let stands = bill.charges.iter().filter(|(_, standing)| !matches!(standing, crate::model::Standing::Superseded(_)));
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
