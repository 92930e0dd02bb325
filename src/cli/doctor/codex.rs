//! What Codex itself says: its version, its configuration, the hooks that it runs, and where its logs go.

use super::{Args, Checks};
use crate::cli::context::Context;
use crate::cli::trust;
use crate::cli::whose::{Homes, registrations};
use crate::config;
use crate::setup::codex::{Codex, Hook, daemon_since};
use crate::setup::{EVENTS, is_ours, snake};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
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
    /// When Codex's background process was started, if one runs.
    pub daemon: Option<SystemTime>,
    /// The exporter of logs, as Codex resolves its layers.
    pub exporter: Value,
    /// The file that the exporter comes from.
    pub exporter_file: Option<PathBuf>,
    /// The command of our hook that Codex runs.
    pub command: Option<String>,
}

/// Asks Codex.
pub(super) fn check(context: &Context, args: &Args, checks: &mut Checks) -> Seen {
    let mut seen = Seen::default();
    if let Err(e) = ask(context, args, checks, &mut seen) {
        let next = "repair what it says; `codex` itself stumbles over the same";
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
    one_home(context, &home, checks)?;
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
    seen.asked = true;
    seen.daemon = daemon_since(&home);
    layers(&config, &home, checks);
    seen.exporter = config["config"]["otel"]["exporter"].clone();
    let origin =
        |(key, from): (&String, &Value)| key.starts_with("otel.exporter").then(|| from["name"]["file"].clone());
    let file = config["origins"].as_object().and_then(|origins| origins.iter().find_map(origin));
    seen.exporter_file = file.and_then(|file| file.as_str().map(PathBuf::from));
    let ours: Vec<&Hook> = hooks.hooks.iter().filter(|hook| is_ours(&hook.command)).collect();
    registered(&ours, &config, &known_events(version), checks);
    if !ours.is_empty() {
        trusted(&ours, checks);
        seen.command = ours.iter().find(|hook| hook.runs()).map(|hook| hook.command.clone());
        programs(&ours, checks);
    }
    let said = hooks.errors.iter().chain(&hooks.warnings);
    let said: Vec<String> = said.map(|v| v["message"].as_str().map_or_else(|| v.to_string(), str::to_string)).collect();
    if !said.is_empty() {
        checks.warn("hook files", said.join("; "), "repair what Codex says of its hooks");
    }
    Ok(())
}

/// Whether hooks and exporter are those of this home: two homes would each have half.
fn one_home(context: &Context, codex_home: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let there = registrations(codex_home)?;
    match Homes::new(context, &there)?.another(&there) {
        Some((path, other)) => checks.fail(
            "registered",
            format!("{} is registered for another home, {other}; this is {}", path.display(), context.home.display()),
            format!("look at that one with --home, or `{}` and `{INIT}`", other.uninstall()),
        ),
        None if !there.is_empty() => checks.ok("registered", format!("for this home, {}", context.home.display())),
        None => {}
    }
    Ok(())
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

/// Whether each event has our hook, and no more than one that runs.
fn registered(ours: &[&Hook], config: &Value, events: &[&str], checks: &mut Checks) {
    let count = |event: &str, running: bool| {
        let of = |hook: &&&Hook| snake(&hook.event_name) == snake(event) && (hook.runs() || !running);
        ours.iter().filter(of).count()
    };
    let missing: Vec<&str> = events.iter().copied().filter(|event| count(event, false) == 0).collect();
    let off = config["config"]["features"]["hooks"] == Value::Bool(false);
    if off {
        let next = "set `hooks = true` in `[features]` of Codex's config.toml, or take the line out";
        return checks.fail("hooks", "hooks are switched off in `[features]`", next);
    }
    if missing.len() == events.len() {
        let next = format!("{INIT} (where managed hooks only are allowed: codex-tally init --system)");
        return checks.fail("hooks", "our hook is not registered", next);
    }
    if !missing.is_empty() {
        return checks.fail("hooks", format!("our hook is not registered for {}", missing.join(", ")), INIT);
    }
    let mut layers: BTreeMap<String, usize> = BTreeMap::new();
    for hook in ours {
        *layers.entry(format!("{} {}", hook.source, hook.source_path.display())).or_default() += 1;
    }
    let from = layers.keys().cloned().collect::<Vec<_>>().join(", ");
    checks.ok("hooks", format!("registered for {} events ({from})", events.len()));
    if events.iter().any(|event| count(event, true) > 1) {
        let next = "keep one: codex-tally uninstall, or take the lines out of the other file; counted once, but it costs twice";
        checks.warn("registered twice", format!("the hook runs more than once for an event ({from})"), next);
    }
}

fn trusted(ours: &[&Hook], checks: &mut Checks) {
    let not: Vec<&&Hook> = ours.iter().filter(|hook| !hook.runs()).collect();
    let Some(first) = not.first() else {
        let managed = ours.iter().filter(|hook| hook.trust_status == "managed").count();
        let how = if managed == ours.len() { "managed" } else { "trusted" };
        return checks.ok("trust", format!("all {} hooks are {how}", ours.len()));
    };
    let why = if first.enabled { first.trust_status.as_str() } else { "switched off" };
    let next = match first.enabled {
        true => format!("{INIT}, or trust them in `codex` (/hooks)"),
        false => "switch them on in `codex` (/hooks)".to_string(),
    };
    checks.fail("trust", format!("Codex skips {} of {} hooks without a word: {why}", not.len(), ours.len()), next);
}

/// Whether what Codex calls is there, and nobody else can change it.
fn programs(ours: &[&Hook], checks: &mut Checks) {
    let program = |hook: &&Hook| {
        let command = hook.command.trim();
        let quoted = command.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        PathBuf::from(quoted.map_or_else(|| command.split_whitespace().next().unwrap_or_default(), |(path, _)| path))
    };
    let mut paths: Vec<PathBuf> = ours.iter().map(program).filter(|path| path.is_absolute()).collect();
    paths.sort();
    paths.dedup();
    for path in &paths {
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
                let next = "install codex-tally there again, or `codex-tally uninstall` and `codex-tally init --trust`";
                return checks.fail("hook program", format!("{shown} is not there, or cannot be run"), next);
            }
        }
    }
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    checks.ok("hook program", if shown.is_empty() { "found in PATH".to_string() } else { shown.join(", ") });
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
