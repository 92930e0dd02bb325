//! What Codex itself says: its version, its configuration, the hooks that it runs, and where its logs go.

use super::origin::{Managed, Origin};
use super::{Args, Checks};
use crate::cli::context::Context;
use crate::cli::trust;
use crate::cli::whose::{Homes, registrations};
use crate::config;
use crate::setup::codex::{Codex, Hook, daemon_since};
use crate::setup::{EVENTS, find_in_path, is_ours, snake};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The newest version that everything was tried with.
const TRIED: (u64, u64) = (0, 169);

/// Events that older versions do not know, and do not list: the first version that does.
const SINCE: [(&str, (u64, u64)); 2] = [("PostModelRequest", (0, 164)), ("SessionEnd", (0, 145))];

const INIT: &str = "codex-tally init --trust";

/// What the other checks need to know.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Codex could be asked.
    pub asked: bool,
    /// Hooks or exporter are another home's, so that nothing is to be done in this one.
    pub of_another: bool,
    /// When Codex's background process was started, if one runs.
    pub daemon: Option<SystemTime>,
    /// The exporter of logs, as Codex resolves its layers.
    pub exporter: Value,
    /// The file that the exporter comes from.
    pub exporter_file: Option<PathBuf>,
    /// Who demands the exporter of all users, so that none can set another.
    pub demanded_by: Option<String>,
    /// The command of our hook that Codex runs.
    pub command: Option<String>,
}

/// Asks Codex.
pub(super) fn check(context: &Context, args: &Args, checks: &mut Checks) -> Seen {
    let mut seen = Seen::default();
    if let Err(e) = ask(context, args, checks, &mut seen) {
        let next =
            "repair what it says, and try again: without this Codex may run and lose telemetry, or not run at all";
        checks.fail("configuration", format!("{e:#}"), next);
    }
    seen
}

fn ask(context: &Context, args: &Args, checks: &mut Checks, seen: &mut Seen) -> anyhow::Result<()> {
    let home = args.codex_home.clone().or_else(|| config::codex_home(&context.env));
    let home = home.context("no CODEX_HOME is known; give one with --codex-home DIR")?;
    if !home.is_dir() {
        let shown = home.display();
        checks.fail(
            "configuration",
            format!("there is no folder {shown}, so Codex keeps nothing there"),
            "start `codex` once, or name its folder with --codex-home DIR",
        );
        return Ok(());
    }
    seen.of_another = one_home(context, &home, checks)?;
    let program = match trust::codex(context, args.codex.as_deref()) {
        Ok(program) => program,
        Err(e) => {
            checks.warn(
                "codex",
                format!("{e:#}; what Codex sees is not checked"),
                "codex-tally doctor --codex PROGRAM",
            );
            return Ok(());
        }
    };
    let folder = std::env::current_dir().unwrap_or_else(|_| home.clone());
    let mut codex = Codex::start(&program, &home).context("Codex cannot be asked")?;
    let version = numbers(codex.version());
    check_version(codex.version(), version, &program, checks);
    let config = codex.config(&folder)?;
    let hooks = codex.hooks(&folder)?;
    let managed = Managed::new(codex.requirements());
    seen.asked = true;
    seen.daemon = daemon_since(&home);
    layers(&config, &home, checks);
    seen.exporter = config["config"]["otel"]["exporter"].clone();
    let origin = |(key, from): (&String, &Value)| key.starts_with("otel.exporter").then(|| from.clone());
    let origin = config["origins"].as_object().and_then(|origins| origins.iter().find_map(origin)).unwrap_or_default();
    seen.exporter_file = origin["name"]["file"].as_str().map(PathBuf::from);
    if let Some((who, file)) = managed.exporter(&origin) {
        (seen.demanded_by, seen.exporter_file) = (Some(who), file);
    }
    let ours = hooks.hooks.iter().filter(|hook| is_ours(&hook.command));
    let ours: Vec<Ours> = ours.map(|hook| (hook, managed.origin(hook))).collect();
    registered(&ours, &config, &managed, &known_events(version), checks);
    if !ours.is_empty() {
        trusted(&ours, checks);
        seen.command = ours.iter().find(|(hook, _)| hook.runs()).map(|(hook, _)| hook.command.clone());
        programs(context, &ours, checks);
    }
    let said = hooks.errors.iter().chain(&hooks.warnings);
    let said: Vec<String> = said.map(|v| v["message"].as_str().map_or_else(|| v.to_string(), str::to_string)).collect();
    if !said.is_empty() {
        checks.warn("hook files", said.join("; "), "repair what Codex says of its hooks");
    }
    Ok(())
}

/// Whether hooks or exporter are another home's and not of this one: two homes would each have half.
fn one_home(context: &Context, codex_home: &Path, checks: &mut Checks) -> anyhow::Result<bool> {
    let there = registrations(codex_home)?;
    let another = Homes::new(context, &there)?.another(&there);
    let of_another = another.is_some();
    match another {
        Some((path, other)) => checks.fail(
            "registered",
            format!("{} is registered for another home, {other}; this is {}", path.display(), context.home.display()),
            format!("look at that one with --home, or `{}` and `{INIT}`", other.uninstall()),
        ),
        None if !there.is_empty() => checks.ok("registered", format!("for this home, {}", context.home.display())),
        None => {}
    }
    Ok(of_another)
}

/// `0.169.0` as numbers that can be compared.
fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse().ok());
    numbers.next().zip(numbers.next())
}

/// The events that this version calls hooks for.
fn known_events(version: Option<(u64, u64)>) -> Vec<&'static str> {
    let since = |event: &str| SINCE.iter().find(|(name, _)| *name == event).map(|(_, since)| *since);
    let known = |event: &str| since(event).zip(version).is_none_or(|(since, version)| version >= since);
    EVENTS.iter().map(|(event, _)| *event).filter(|event| known(event)).collect()
}

fn check_version(said: &str, version: Option<(u64, u64)>, program: &Path, checks: &mut Checks) {
    let says = format!("{said} ({})", program.display());
    match version {
        Some(version) if version < SINCE[0].1 => checks.warn(
            "codex",
            format!("{says} tells hooks nothing of responses; telemetry and transcripts do"),
            "update Codex to 0.164 or newer: npm install -g @openai/codex",
        ),
        Some(version) if version > TRIED => {
            checks.ok("codex", format!("{says}; newer than the newest that was tried, {}.{}", TRIED.0, TRIED.1));
        }
        _ => checks.ok("codex", says),
    }
}

/// The files that Codex reads, strongest first.
fn layers(config: &Value, home: &Path, checks: &mut Checks) {
    let layer = |layer: &Value| {
        let name = &layer["name"];
        let file = name["file"].as_str().or_else(|| name["dotCodexFolder"].as_str());
        let empty = layer["config"].as_object().is_none_or(serde_json::Map::is_empty);
        (!empty).then(|| [name["type"].as_str(), file].into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    let layers: Vec<String> = config["layers"].as_array().into_iter().flatten().filter_map(layer).collect();
    let says = if layers.is_empty() { format!("none below {}", home.display()) } else { layers.join(", ") };
    checks.ok("configuration", says);
}

/// A hook that runs our program, and who has registered it.
type Ours<'a> = (&'a Hook, Origin);

/// All who have registered one of these, the weakest first.
fn origins<'a>(hooks: impl IntoIterator<Item = &'a Ours<'a>>) -> Vec<Origin> {
    let mut origins: Vec<Origin> = hooks.into_iter().map(|(_, origin)| origin.clone()).collect();
    origins.sort();
    origins.dedup();
    origins
}

/// Whether each event has our hook, and no more than one that runs.
fn registered(ours: &[Ours], config: &Value, managed: &Managed, events: &[&str], checks: &mut Checks) {
    let count = |event: &str, running: bool| {
        let of = |(hook, _): &&Ours| snake(&hook.event_name) == snake(event) && (hook.runs() || !running);
        ours.iter().filter(of).count()
    };
    let missing: Vec<&str> = events.iter().copied().filter(|event| count(event, false) == 0).collect();
    let off = config["config"]["features"]["hooks"] == Value::Bool(false);
    if off {
        let file = config["origins"]["features.hooks"]["name"]["file"].as_str().unwrap_or("Codex's config.toml");
        let next = format!("set `hooks = true` in `[features]` of {file}, or take the line out");
        return checks.fail("hooks", "hooks are switched off in `[features]`", next);
    }
    if missing.len() == events.len() {
        return match managed.without_user_hooks() {
            Some((why, next)) => checks.fail("hooks", format!("our hook does not run: {why}"), next),
            None => checks.fail("hooks", "our hook is not registered", INIT),
        };
    }
    let all = origins(ours);
    if !missing.is_empty() {
        let next = all.last().map(Origin::complete).unwrap_or_default();
        return checks.fail("hooks", format!("our hook is not registered for {}", missing.join(", ")), next);
    }
    let mut layers: BTreeMap<String, usize> = BTreeMap::new();
    for (hook, _) in ours {
        *layers.entry(format!("{} {}", hook.source, hook.source_path.display())).or_default() += 1;
    }
    let from = layers.keys().cloned().collect::<Vec<_>>().join(", ");
    checks.ok("hooks", format!("registered for {} events ({from})", events.len()));
    let several = |event: &&&str| count(event, true) > 0 && count(event, false) > 1;
    let Some(event) = events.iter().max_by_key(|event| (count(event, true), count(event, false))).filter(several)
    else {
        return;
    };
    let says = match count(event, true) {
        1 => format!("there is a second hook for an event, which is not trusted; if it were, both would run ({from})"),
        _ => format!("the hook runs more than once for an event: counted once, but it costs twice ({from})"),
    };
    checks.warn("registered twice", says, Origin::keep_one(&all));
}

/// Whether Codex runs them. One that it does not run is no loss where another one of the same event runs.
fn trusted(ours: &[Ours], checks: &mut Checks) {
    let runs = |event: &str| ours.iter().any(|(hook, _)| hook.runs() && hook.event_name == event);
    let not: Vec<&Ours> = ours.iter().filter(|(hook, _)| !hook.runs() && !runs(&hook.event_name)).collect();
    let Some((first, _)) = not.first() else {
        let of = |status: &str| ours.iter().filter(|(hook, _)| hook.runs() && hook.trust_status == status).count();
        let (trusted, managed) = (of("trusted"), of("managed"));
        return checks.ok(
            "trust",
            match (trusted, managed) {
                (0, managed) => format!("all {managed} hooks are managed"),
                (trusted, 0) => format!("all {trusted} hooks are trusted"),
                _ => format!("{managed} hooks are managed, {trusted} are trusted"),
            },
        );
    };
    let why = if first.enabled { first.trust_status.as_str() } else { "switched off" };
    let next = match first.enabled {
        true => origins(not.iter().copied()).first().map(Origin::trust).unwrap_or_default(),
        false => "switch them on in `codex` (/hooks)".to_string(),
    };
    checks.fail("trust", format!("Codex skips {} of {} hooks without a word: {why}", not.len(), ours.len()), next);
}

/// Whether what Codex calls is there, and nobody else can change it.
fn programs(context: &Context, ours: &[Ours], checks: &mut Checks) {
    let search = context.env.path("PATH").map(PathBuf::into_os_string);
    let mut programs: Vec<(PathBuf, &Origin)> = Vec::new();
    for (hook, origin) in ours {
        let command = hook.command.trim();
        let quoted = command.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let program = quoted.map_or_else(|| command.split_whitespace().next().unwrap_or_default(), |(path, _)| path);
        let found = match program.contains('/') {
            true => Some(PathBuf::from(program)),
            false => find_in_path(OsStr::new(program), search.as_deref()),
        };
        let Some(found) = found else {
            let says = format!("{program} is not in the PATH of this shell; Codex looks for it in its own");
            return checks.fail("hook program", says, origin.program());
        };
        programs.push((found, origin));
    }
    programs.sort();
    programs.dedup_by(|a, b| a.0 == b.0);
    for (path, origin) in programs.iter().filter(|(path, _)| path.is_absolute()) {
        let shown = path.display();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() && meta.mode() & 0o111 != 0 => {
                let folder = path.parent().and_then(|folder| std::fs::metadata(folder).ok());
                let open = |meta: &std::fs::Metadata| meta.mode() & 0o002 != 0 && meta.mode() & 0o1000 == 0;
                if open(&meta) || folder.is_some_and(|folder| open(&folder)) {
                    let next = format!("chmod o-w {shown} and its folder: what stands there runs with your rights");
                    return checks.fail("hook program", format!("everybody can change {shown}"), next);
                }
            }
            _ => {
                let says = format!("{shown} is not there, or cannot be run");
                return checks.fail("hook program", says, origin.program());
            }
        }
    }
    let shown: Vec<String> = programs.iter().map(|(path, _)| path.display().to_string()).collect();
    checks.ok("hook program", shown.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_versions_need_not_know_all_events() {
        assert_eq!(known_events(numbers("0.169.0")).len(), EVENTS.len());
        assert_eq!(known_events(numbers("1.0.0-beta.1")).len(), EVENTS.len());
        assert_eq!(known_events(None).len(), EVENTS.len());
        assert!(!known_events(numbers("0.163.9")).contains(&"PostModelRequest"));
        assert!(!known_events(numbers("0.144.1")).contains(&"SessionEnd"));
    }
}
