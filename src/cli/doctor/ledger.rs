//! Whether what arrived is safe: home, file system, store, what each source said last, spool, clock, prices.

use super::Checks;
use crate::cli::context::{Context, today};
use crate::collect;
use crate::model::Timestamp;
use crate::pricing::Level;
use crate::report::format::thousands;
use crate::store::sqlite::{SqliteStore, is_damaged};
use crate::store::{Store, journal};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A spool that is larger than this is not read by anybody.
const MUCH: u64 = 64 << 20;

/// A clock may be off by so much before what it says matters, in seconds.
const OFF: i64 = 300;

/// All checks of home and store.
pub(super) fn check(context: &Context, checks: &mut Checks) {
    home(&context.home, checks);
    if !context.database().exists() {
        checks.ok("store", format!("{} is made when something is recorded", context.database().display()));
    } else {
        let checked = context.open().and_then(|store| stored(context, &store, checks));
        if let Err(e) = checked {
            let next = match is_damaged(&e) {
                true => replace(context),
                false => {
                    "do what it says (of a newer store: update this program); the ledger stays where it is".to_string()
                }
            };
            checks.fail("store", format!("{e:#}"), next);
        }
    }
    prices(context, checks);
    match context.rules() {
        Ok(rules) => {
            let (rules, members) = (rules.rules.len(), rules.members.len());
            checks.ok("teams", format!("rules {rules}, members {members}"));
        }
        Err(e) => {
            checks.fail("teams", format!("{e:#}"), "repair that file (docs/teams.md): without it nothing is reported")
        }
    }
}

/// What to do about a store that is damaged, and only then.
fn replace(context: &Context) -> String {
    format!(
        "move {0}, {0}-wal and {0}-shm away together; `codex-tally restore` the last backup, then `codex-tally sync`; without a \
         backup `codex-tally import`: transcripts are still there",
        context.database().display()
    )
}

fn home(home: &Path, checks: &mut Checks) {
    let Ok(meta) = std::fs::symlink_metadata(home) else {
        return checks.ok("home", format!("{} is made when something is recorded", home.display()));
    };
    let shown = home.display();
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return checks.fail(
            "home",
            format!("{shown} is not a folder of this user"),
            "choose another with CODEX_TALLY_HOME",
        );
    }
    if meta.mode() & 0o022 != 0 {
        return checks.fail(
            "home",
            format!("others can write to {shown}, so nothing is recorded"),
            format!("chmod 700 {shown}"),
        );
    }
    match network(home) {
        Some(kind) => checks.fail(
            "home",
            format!("{shown} is on {kind}, where SQLite's locks are not safe"),
            "choose a local folder with CODEX_TALLY_HOME, for hook, sink and reports alike",
        ),
        None => checks.ok("home", format!("{shown}, private, on a local file system")),
    }
}

/// The name of a file system that is shared over a network.
#[cfg(target_os = "linux")]
fn network(folder: &Path) -> Option<&'static str> {
    // A number of 32 bits, in whatever type the architecture has for it.
    network_name(rustix::fs::statfs(folder).ok()?.f_type as u32)
}

/// Elsewhere the kind has no number that means the same on all machines.
#[cfg(not(target_os = "linux"))]
fn network(_folder: &Path) -> Option<&'static str> {
    None
}

#[cfg(any(target_os = "linux", test))]
fn network_name(kind: u32) -> Option<&'static str> {
    const KINDS: [(u32, &str); 9] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9P"),
        (0x5346_414f, "AFS"),
        (0x00c3_6400, "Ceph"),
        (0x0bd0_0bd0, "Lustre"),
        (0x4750_4653, "GPFS"),
    ];
    KINDS.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

fn stored(context: &Context, store: &SqliteStore, checks: &mut Checks) -> anyhow::Result<()> {
    let health = store.health()?;
    if let Some(problem) = health.problems.first() {
        checks.fail("store", format!("it is damaged: {problem}"), replace(context));
        return Ok(());
    }
    checks.ok("store", format!("{}, whole", context.database().display()));
    let now = Timestamp(chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default());
    for (check, source) in [("last hook", "hook"), ("last telemetry", "otlp"), ("last transcript", "transcript")] {
        let says = match health.last.get(source) {
            Some(last) => last.to_rfc3339(),
            None => "nothing yet".to_string(),
        };
        checks.ok(check, says);
    }
    match health.last.values().copied().max() {
        Some(newest) if newest.0 - now.0 > OFF * 1_000_000_000 => checks.fail(
            "clock",
            format!("something is recorded for {}, and now is {}", newest.to_rfc3339(), now.to_rfc3339()),
            "set the clock (timedatectl set-ntp true): days and prices depend on it",
        ),
        _ => checks.ok("clock", now.to_rfc3339()),
    }
    backlog(context, store, checks)?;
    counted(store, checks)
}

fn backlog(context: &Context, store: &SqliteStore, checks: &mut Checks) -> anyhow::Result<()> {
    let unread = collect::spool_backlog(store, &context.home)?;
    let waiting = !journal::is_empty(&context.home)?;
    let also = if waiting { "; the sink's journal holds something" } else { "" };
    let says = format!("{} bytes of hooks are not read yet{also}", thousands(unread));
    if unread > MUCH {
        checks.warn("spool", says, "codex-tally sync (and `codex-tally serve`, which does it all the time)");
    } else {
        checks.ok("spool", says);
    }
    Ok(())
}

/// What was recorded and could not be read.
fn counted(store: &SqliteStore, checks: &mut Checks) -> anyhow::Result<()> {
    let counters = store.counters()?;
    let bad = counters.iter().filter(|(name, n)| !name.ends_with(".ignored") && **n > 0);
    let bad: Vec<String> = bad.map(|(name, n)| format!("{name} {}", thousands(*n))).collect();
    if bad.is_empty() {
        checks.ok("unreadable", "nothing that came was unknown, unreadable or dropped");
    } else {
        let next = "update codex-tally if Codex is newer; `codex-tally report monthly` shows the same below the table";
        checks.warn("unreadable", bad.join(", "), next);
    }
    Ok(())
}

fn prices(context: &Context, checks: &mut Checks) {
    let book = match context.price_book() {
        Ok(book) => book,
        Err(e) => {
            return checks.fail("prices", format!("{e:#}"), "repair that file; `codex-tally prices check` reads it");
        }
    };
    let grave: Vec<String> =
        book.check(today()).into_iter().filter(|f| f.level != Level::Notice).map(|f| f.to_string()).collect();
    match grave.first() {
        None => checks.ok("prices", format!("as of {}, none past its promise", book.as_of())),
        Some(first) => {
            let more = if grave.len() > 1 { format!(" and {} more", grave.len() - 1) } else { String::new() };
            checks.warn("prices", format!("{first}{more}"), "codex-tally prices check; codex-tally prices update");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_number() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xef53), None, "ext4");
        assert_eq!(network(Path::new("/proc")), None);
    }
}
