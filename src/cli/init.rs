//! `init`: registers hook and exporter with Codex.

mod elsewhere;
mod notes;
mod own;
mod profiles;

use super::context::Context;
use super::edits::{self, Change};
use super::whose::{Homes, Registrations, registrations};
use super::{doctor, out, system, token, trust};
use crate::config;
use crate::setup::{self, AddToml, Added, Exporter, Otel, Record, Refused, Registered};
use anyhow::{Context as _, bail};
use elsewhere::Elsewhere;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Register the hook and the exporter with Codex, so that every session is recorded
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Shows the change of Codex's config.toml, asks, keeps a copy, and makes it. Comments, order and your own hooks stay;
an exporter that is set is left as it is. A second call changes nothing. `codex-tally uninstall` takes it out again.

Codex runs a hook only when you trust it: `codex` asks at its next start, or say --trust, which asks Codex to note your
trust in exactly the hooks that are printed.

Examples:
  codex-tally init                          show, ask, write
  codex-tally init --yes --trust            no questions: for scripts
  codex-tally init --print                  only show
  codex-tally init --team platform          and say whose sessions these are
  codex-tally init --profile work           in ~/.codex/work.config.toml, for `codex --profile work`
  codex-tally init --system --root staging  the managed layer for all users, below another folder"
)]
pub(super) struct Args {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Trust the hooks, as Codex's own interface does it
    #[arg(long, conflicts_with_all = ["profile", "system", "print"])]
    trust: bool,
    /// Only show what would be changed
    #[arg(long, conflicts_with = "yes")]
    print: bool,
    /// The profile whose file is edited instead of config.toml
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Where Codex keeps its configuration [env: CODEX_HOME] [default: ~/.codex]
    #[arg(long, value_name = "DIR")]
    codex_home: Option<PathBuf>,
    /// Whose sessions these are: a rule in teams.toml if there is none yet (with --system: a header of the exporter)
    #[arg(long)]
    team: Option<String>,
    /// Register the hook only, and leave telemetry as it is
    #[arg(long)]
    no_otel: bool,
    /// Write the managed layer, /etc/codex/requirements.toml, for all users of this machine
    #[arg(long, conflicts_with_all = ["profile", "codex_home"])]
    system: bool,
    /// With --system: the folder that stands for /
    #[arg(long, value_name = "DIR", requires = "system")]
    root: Option<PathBuf>,
    /// The hook program, as Codex is to call it [default: codex-tally-hook beside this program]
    #[arg(long, value_name = "PROGRAM")]
    hook: Option<PathBuf>,
    /// The Codex program [default: codex in PATH]
    #[arg(long, value_name = "PROGRAM")]
    codex: Option<PathBuf>,
}

pub(super) fn run(context: &Context, home_asked: bool, args: &Args) -> anyhow::Result<ExitCode> {
    let hook = hook(context, args.hook.as_deref())?;
    if args.system {
        let root = args.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        let wanted = system::Wanted { root, hook, team: args.team.clone(), otel: !args.no_otel };
        return system::run(context, &wanted, args.print, args.yes);
    }
    let mut place = Place::new(context, args, &hook, home_asked)?;
    refuse_another(context, &place.codex_home)?;
    // Several calls at once (login scripts) come one after the other, each with what the one before wrote.
    let _alone = args.yes.then(|| context.make_home().and_then(|()| edits::alone(&context.home))).transpose()?;
    let context = &context.again()?;
    let record = Record::read(&context.home)?;
    let there = registrations(&place.codex_home)?;
    let kept = place.keep(&record, &there);
    let elsewhere = Elsewhere::look(&place.codex_home);
    let mut plan = plan(context, args, &place, (&there, &elsewhere), record)?;
    plan.notes.extend(kept.into_iter().chain(elsewhere.notes.iter().cloned()));
    plan.notes.extend(notes::hooks(&place.codex_home, args.hook.as_deref()));
    if args.profile.is_none() {
        profiles::without_hooks(&there, &mut plan)?;
    }
    plan.changes.retain(Change::is_one);
    let nothing = plan.changes.is_empty();
    for note in &plan.notes {
        out::talk(&format!("note: {note}"));
    }
    if nothing {
        let whole = if elsewhere.hooks { "stays as it is" } else { "has it all" };
        out::talk(&format!("nothing to do: {} {whole}", place.config.display()));
    } else if args.print {
        edits::show(&plan.changes, std::slice::from_ref(&plan.token))?;
    } else {
        if !edits::agreed(&plan.changes, std::slice::from_ref(&plan.token), args.yes, "Make these changes?")? {
            bail!("nothing was changed; say --yes where nobody can be asked");
        }
        write(context, &plan)?;
    }
    if args.print {
        return Ok(ExitCode::SUCCESS);
    }
    if args.trust {
        trust::trust(context, args.codex.as_deref(), &place.codex_home, &place.command)?;
    }
    for (says, next) in doctor::environment(context)? {
        out::talk(&format!("warning: {says}: {next}"));
    }
    if plan.renewed && !nothing {
        out::talk("next: start the sink again, and each `codex` that runs: they go on with the token of before");
    }
    let trusted = args.trust || !plan.hooks || !notes::runs_hooks(&place.codex_home);
    next(context, &place.codex_home, trusted, &elsewhere);
    Ok(ExitCode::SUCCESS)
}

/// Two homes for one Codex would have half of what it tells each.
fn refuse_another(context: &Context, codex_home: &Path) -> anyhow::Result<()> {
    let there = registrations(codex_home)?;
    let Some((path, other)) = Homes::new(context, &there)?.another(&there) else { return Ok(()) };
    bail!(
        "{} is registered for another home, {other}: what Codex tells would be split between two ledgers. Go on with that one, \
         or take it out with `{}` and try again",
        path.display(),
        other.uninstall()
    );
}

/// What is left for the user to do.
fn next(context: &Context, codex_home: &Path, trusted: bool, elsewhere: &Elsewhere) {
    if !trusted {
        out::talk(
            "next: start `codex` and trust the hooks when it asks (or `codex-tally init --trust`); until then it skips them",
        );
    }
    if setup::codex::daemon_since(codex_home).is_some() {
        out::talk(
            "next: `codex app-server daemon restart`: Codex's background process keeps the exporter it was started with",
        );
    }
    if context.env.path("CODEX_TALLY_HOME").is_some() {
        out::talk("note: CODEX_TALLY_HOME is set here; it must be where Codex runs, too");
    }
    // Of a sink that takes what the managed layer sends its note tells.
    let serve = "`codex-tally serve` while you work, or `codex-tally service install` once and for all; and ";
    let serve = if elsewhere.exporter { "" } else { serve };
    out::talk(&format!("next: {serve}`codex-tally doctor` to see whether all of it works"));
}

/// The hook by the path that stays the same across updates.
pub(super) fn hook(context: &Context, asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(asked) = asked {
        return Ok(std::path::absolute(asked)?);
    }
    let executable = std::env::current_exe().context("this program cannot be found")?;
    let search = context.env.path("PATH").map(PathBuf::into_os_string);
    let arg0 = std::env::args_os().next().unwrap_or_default();
    let called = setup::invoked(&arg0, search.as_deref(), &executable);
    setup::beside(setup::HOOK, &called, search.as_deref(), &executable).with_context(|| {
        format!("{} is not beside {}; install it there, or name it with --hook", setup::HOOK, called.display())
    })
}

/// Where everything is.
struct Place {
    codex_home: PathBuf,
    config: PathBuf,
    command: String,
}

impl Place {
    fn new(context: &Context, args: &Args, hook: &Path, home_asked: bool) -> anyhow::Result<Self> {
        let codex_home = args.codex_home.clone().or_else(|| config::codex_home(&context.env));
        let codex_home = codex_home.context("no CODEX_HOME is known; give one with --codex-home DIR")?;
        let codex_home = std::path::absolute(codex_home)?;
        let name = match &args.profile {
            Some(name) if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') => {
                bail!("`{name}` is no name of a profile");
            }
            Some(name) => format!("{name}.config.toml"),
            None => "config.toml".to_string(),
        };
        let path = |path: &Path| path.to_str().map(setup::shell_word).context("a path is not UTF-8");
        let mut command = path(hook)?;
        if home_asked {
            // Codex does not know the home that only this call was told of.
            command += &format!(" --home {}", path(&std::path::absolute(&context.home)?)?);
        }
        Ok(Place { config: codex_home.join(name), codex_home, command })
    }
}

impl Place {
    /// A command that is registered stays, since trust hangs on it and one command must be taken out again. Says so if it differs.
    fn keep(&mut self, record: &Record, there: &Registrations) -> Option<String> {
        let ours = |file: &&Registered| file.path.parent() == Some(&self.codex_home) && !file.added.events.is_empty();
        let recorded = record.files.iter().find(ours).map(|file| file.command.clone());
        let found = || there.iter().find_map(|(_, found)| Some(found.handlers.first()?.1.clone()));
        let command = recorded.or_else(found)?;
        let note =
            format!("the hook stays registered as `{command}`; to change that, run `codex-tally uninstall` first");
        let differs = command != self.command;
        self.command = command;
        differs.then_some(note)
    }
}

/// What is to be done.
struct Plan {
    changes: Vec<Change>,
    notes: Vec<String>,
    record: Record,
    token: String,
    /// The one of before is gone.
    renewed: bool,
    /// Hooks are added, which nobody has trusted yet.
    hooks: bool,
}

fn plan(
    context: &Context,
    args: &Args,
    place: &Place,
    (there, elsewhere): (&Registrations, &Elsewhere),
    record: Record,
) -> anyhow::Result<Plan> {
    let there_is = token::read(&context.home)?;
    let renewed = there_is.is_none() && !record.files.is_empty();
    let token = there_is.map_or_else(token::fresh, Ok)?;
    let mut plan = Plan { changes: Vec::new(), notes: Vec::new(), record, token, renewed, hooks: false };
    let encrypted = context.config.sink.is_encrypted();
    if encrypted && !args.no_otel {
        plan.notes.push(notes::ENCRYPTED.to_string());
    }
    let otel =
        (!args.no_otel && !encrypted && !elsewhere.exporter).then(|| own::config(context, &mut plan)).transpose()?;
    let otel = otel.map(|address| Otel::of_sink(address, Some(&plan.token)));
    own::team(context, args.team.as_deref(), &mut plan)?;
    let old = edits::read(&place.config)?;
    let text = old.clone().unwrap_or_default();
    let json = place.codex_home.join("hooks.json");
    // One that says nothing is not used.
    let uses_json = edits::read(&json)?.is_some_and(|text| !["", "{}"].contains(&text.trim()));
    let in_json = args.profile.is_none() && uses_json && !setup::uses_inline_hooks(&text) && !elsewhere.hooks;
    let recorded = plan.record.file(&place.config).and_then(|file| file.added.exporter.clone());
    let orphan = orphan(there, &place.config, recorded.as_deref(), &plan.token);
    plan.notes.extend(orphan.map(|_| notes::orphan(&place.config)));
    let replaces = orphan.map(|orphan| orphan.text.clone()).or(recorded);
    // A profile has the hooks of config.toml as well.
    let base = edits::read(&place.codex_home.join("config.toml"))?.filter(|_| args.profile.is_some());
    let in_base = base.is_some_and(|base| base.contains(setup::HOOK));
    let command = (!in_json && !in_base && !elsewhere.hooks).then(|| place.command.clone());
    let wanted = AddToml { command, managed_dir: None, exporter: otel, replaces };
    let by_hand = |path: &Path, why: Refused, wanted: &AddToml| {
        // It must be there to be added.
        let made = || context.make_home().and_then(|()| token::write(&context.home, &plan.token));
        if let Some(Err(e)) = (!args.print).then(made) {
            return e;
        }
        let lines = match &wanted.command {
            Some(command) if path == json => setup::add_json("{\"hooks\": {}}", command).map(|(text, _)| text),
            _ => setup::add_toml("", wanted).map(|edited| edited.text),
        };
        let lines = lines.unwrap_or_default();
        anyhow::anyhow!(
            "{} is left as it is: {why}. Add this by hand (the token is in {}):\n{}",
            path.display(),
            token::path(&context.home).display(),
            lines.replace(&plan.token, "<token>")
        )
    };
    let mut edited = setup::add_toml(&text, &wanted).map_err(|why| by_hand(&place.config, why, &wanted))?;
    if let Some(orphan) = orphan.filter(|_| !edited.added.otel.is_empty()) {
        let now = edited.added.exporter.take();
        edited.added.take_exporter(orphan);
        edited.added.exporter = now;
    }
    if let Some(kept) = &edited.kept_exporter {
        plan.notes.extend(notes::kept_exporter(kept, &wanted, &text, &token::path(&context.home)));
    }
    plan.notes.extend(notes::profiles(&place.codex_home, &place.config));
    let json_change = if in_json { Some(in_hooks_json(&json, &place.command, by_hand)?) } else { None };
    note_change(&mut plan, &place.config, &place.command, (old, edited.text), edited.added, true);
    if let Some((old, new, added)) = json_change {
        note_change(&mut plan, &json, &place.command, (Some(old), new), added, false);
    }
    Ok(plan)
}

/// The exporter of a home that is gone, which is ours from now on.
fn orphan<'a>(there: &'a Registrations, config: &Path, recorded: Option<&str>, token: &str) -> Option<&'a Exporter> {
    let exporter = there.iter().find(|(path, _)| path == config).and_then(|(_, found)| found.exporter.as_ref())?;
    (exporter.exact && recorded != Some(&exporter.text) && exporter.token != token).then_some(exporter)
}

/// Puts a change of Codex's files into the plan and the record.
fn note_change(
    plan: &mut Plan,
    path: &Path,
    command: &str,
    (old, new): (Option<String>, String),
    added: Added,
    secret: bool,
) {
    plan.hooks |= !added.events.is_empty();
    let mode = edits::mode_of(path);
    let holds = secret && new.contains(&plan.token);
    let tightened = mode.filter(|mode| holds && mode & 0o077 != 0);
    if tightened.is_some() {
        plan.notes.push(format!("{} will hold the sink's token, so only you will be able to read it", path.display()));
    }
    if holds && !old.as_deref().unwrap_or_default().contains(&plan.token) {
        plan.notes.extend(notes::leads_elsewhere(path));
    }
    let private = if tightened.is_some() { 0o600 } else { mode.unwrap_or(0o600) };
    let change = Change { path: path.to_path_buf(), old, new: Some(new), mode: private };
    if change.is_one() || plan.record.file(path).is_none() {
        plan.record.note(Registered {
            path: path.to_path_buf(),
            created: change.old.is_none(),
            mode: tightened,
            command: command.to_string(),
            added,
        });
    }
    if !(change.old.is_none() && change.new.as_deref() == Some("")) {
        plan.changes.push(change);
    }
}

fn in_hooks_json(
    path: &Path,
    command: &str,
    by_hand: impl Fn(&Path, Refused, &AddToml) -> anyhow::Error,
) -> anyhow::Result<(String, String, Added)> {
    let old = edits::read(path)?.unwrap_or_default();
    let wanted = AddToml { command: Some(command.to_string()), ..AddToml::default() };
    let (new, added) = setup::add_json(&old, command).map_err(|why| by_hand(path, why, &wanted))?;
    Ok((old, new, added))
}

/// The record first: what it names and is not there after all does no harm when it is taken out.
fn write(context: &Context, plan: &Plan) -> anyhow::Result<()> {
    context.make_home()?;
    edits::private_folder(&Record::folder(&context.home))?;
    let kept = edits::back_up(&context.home, &plan.changes)?;
    plan.record.write(&context.home)?;
    token::write(&context.home, &plan.token)?;
    edits::make(&plan.changes)?;
    if let Some(kept) = kept {
        out::talk(&format!("files as they were are in {}", kept.display()));
    }
    Ok(())
}
