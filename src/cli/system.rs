//! `init --system` and `uninstall --system`: the managed layer, one file for all users. No user can override it, and its hooks
//! need no trust.

use super::context::Context;
use super::edits::{self, Change};
use super::{out, serve};
use crate::setup::{self, AddToml, Otel, Record, Registered};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is asked for.
pub(super) struct Wanted {
    pub root: PathBuf,
    pub hook: PathBuf,
    pub team: Option<String>,
    pub otel: bool,
}

pub(super) fn run(context: &Context, wanted: &Wanted, print: bool, yes: bool) -> anyhow::Result<ExitCode> {
    let path = std::path::absolute(wanted.root.join(setup::REQUIREMENTS))?;
    let hook = wanted.hook.to_str().context("the hook's path is not UTF-8")?;
    let folder = wanted.hook.parent().and_then(|folder| folder.to_str()).context("the hook is in no folder")?;
    let old = edits::read(&path)?;
    let command = setup::shell_word(hook);
    let address = context.config.sink.http.unwrap_or(serve::HTTP);
    let mut record = Record::read(&context.home)?;
    let recorded = record.file(&path);
    let replaces = recorded.and_then(|file| file.added.exporter.clone());
    let kept = replaces.as_deref().and_then(team_of).filter(|_| wanted.team.is_none() && wanted.otel);
    if let Some(team) = &kept {
        out::talk(&format!("note: the team stays {team}; `codex-tally uninstall --system` first takes it out"));
    }
    let team = wanted.team.clone().or(kept).map(|team| ("x-team".to_string(), team));
    // The same for all users, so it cannot hold the secret of one.
    let headers = team.into_iter().collect();
    let encrypted = context.config.sink.is_encrypted();
    if wanted.otel && encrypted {
        out::talk("note: the sink of this home speaks TLS, so no exporter is demanded; docs/service.md has its lines");
    }
    let exporter = (wanted.otel && !encrypted).then(|| Otel { headers, ..Otel::of_sink(address, None) });
    let text = old.as_deref().unwrap_or_default();
    // A program that moved: managed hooks run without anybody's trust, so none is lost.
    let text = setup::with_command(text, &command, folder, recorded.map(|file| file.command.as_str()))
        .map_err(|why| anyhow::anyhow!("{} is left as it is: {why}", path.display()))?;
    let add = AddToml { command: Some(command.clone()), managed_dir: Some(folder.to_string()), exporter, replaces };
    let edited =
        setup::add_toml(&text, &add).map_err(|why| anyhow::anyhow!("{} is left as it is: {why}", path.display()))?;
    if let Some(kept) = &edited.kept_exporter {
        out::talk(&format!("note: another exporter is demanded there already and stays: {kept}"));
    }
    let change =
        Change { path: path.clone(), old, new: Some(edited.text), mode: edits::mode_of(&path).unwrap_or(0o644) };
    if !change.is_one() {
        out::talk(&format!("nothing to do: {} has it all", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let changes = [change];
    if print {
        edits::show(&changes, &[])?;
        return Ok(ExitCode::SUCCESS);
    }
    if !edits::agreed(&changes, &[], yes, "Write this for all users?")? {
        bail!("nothing was changed; say --yes where nobody can be asked");
    }
    context.make_home()?;
    edits::private_folder(&Record::folder(&context.home))?;
    edits::back_up(&context.home, &changes)?;
    let created = changes[0].old.is_none();
    // Noted when it is there: who may not write it must not have it among what is to be taken out.
    make(&changes)?;
    record.note(Registered { path, created, mode: None, command, added: edited.added });
    record.write(&context.home)?;
    out::talk(
        "all users' hooks and telemetry are set; nobody has to trust anything. No user's token can stand there, so each sink is \
         run with `codex-tally serve --auth none`: it listens on loopback only and refuses other host names, web pages and \
         unknown content types, but any local user can send to it",
    );
    Ok(ExitCode::SUCCESS)
}

/// `uninstall --system`: what `init --system` has put in goes, by its record, or if that is lost by what it says.
pub(super) fn remove(context: &Context, root: Option<&Path>, yes: bool) -> anyhow::Result<ExitCode> {
    let path = std::path::absolute(root.unwrap_or(Path::new("/")).join(setup::REQUIREMENTS))?;
    let mut record = Record::read(&context.home)?;
    let recorded = record.file(&path);
    let old = edits::read(&path)?.unwrap_or_default();
    let added = recorded.map_or_else(|| setup::managed(&old), |file| file.added.clone());
    let created = recorded.is_none_or(|file| file.created);
    let ours = |_: &str, command: &str| recorded.is_some_and(|file| file.command == command) || setup::is_ours(command);
    let new = setup::remove_toml(&old, &ours, &added, &[], &[])
        .map_err(|why| anyhow::anyhow!("{} is left as it is: {why}", path.display()))?;
    if new == old {
        out::talk(&format!("nothing to do: nothing of ours is in {}", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let new = (!(created && new.trim().is_empty())).then_some(new);
    let mode = edits::mode_of(&path).unwrap_or(0o644);
    let changes = [Change { path: path.clone(), old: Some(old), new, mode }];
    if !edits::agreed(&changes, &[], yes, "Make this change for all users?")? {
        bail!("nothing was changed; say --yes where nobody can be asked");
    }
    make(&changes)?;
    if recorded.is_some() {
        record.files.retain(|file| file.path != path);
        record.write(&context.home)?;
    }
    out::talk("done; a `codex` that runs now notices when it is started again");
    Ok(ExitCode::SUCCESS)
}

/// The managed layer of this machine, if it has hooks of ours that this home knows nothing of.
pub(super) fn unknown(record: &Record) -> Option<PathBuf> {
    let path = Path::new("/").join(setup::REQUIREMENTS);
    let text = std::fs::read_to_string(&path).ok().filter(|_| record.file(&path).is_none())?;
    (!setup::Found::of(&path, &text).handlers.is_empty()).then_some(path)
}

fn make(changes: &[Change]) -> anyhow::Result<()> {
    let path = changes[0].path.display();
    edits::make(changes).with_context(|| format!("{path} is for all users; who may write it (root) can do this"))
}

/// The team that an exporter names.
fn team_of(exporter: &str) -> Option<String> {
    let table: toml::Table = format!("x = {exporter}").parse().ok()?;
    Some(table.get("x")?.get("otlp-http")?.get("headers")?.get("x-team")?.as_str()?.to_string())
}
