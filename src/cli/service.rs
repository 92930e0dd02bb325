//! `service`: the sink, or a timer that reads on, as a service of the user's own service manager.

use super::context::{Context, write_file};
use super::manager::{ALL, call_all, systemctl, with};
use super::serve::{self, AuthArg, Door, address_or_none, addresses};
use super::sink::{Listener, who_listens};
use super::{out, token};
use crate::setup;
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a sink may take to start before `install` says that it does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Run the sink with your session, under systemd or launchd
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally service install           the sink, at each login
  codex-tally service install --sync    no sink: read spool and transcripts every 15 minutes
  codex-tally service print             only show the files")]
pub(super) enum Command {
    /// Write the service's files and start it
    #[command(after_help = "Example:\n  codex-tally service install")]
    Install(Args),
    /// Stop the service and remove its files
    #[command(after_help = "Example:\n  codex-tally service remove")]
    Remove(Args),
    /// Print the service's files, each with its path
    #[command(after_help = "Example:\n  codex-tally service print --manager launchd")]
    Print(Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose files [default: launchd on macOS, else systemd]
    #[arg(long, value_enum)]
    manager: Option<Manager>,
    /// A timer that reads on every 15 minutes, instead of the sink
    #[arg(long)]
    sync: bool,
    /// Where the sink listens for OTLP/HTTP [default: as `serve`]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where the sink listens for OTLP/gRPC, or `none` [default: as `serve`]
    #[arg(long, value_name = "ADDR", value_parser = address_or_none)]
    grpc: Option<Door>,
    /// Who may send: `none` is for `init --system`, which gives nobody a token
    #[arg(long, value_enum, default_value_t)]
    auth: AuthArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Manager {
    Systemd,
    Launchd,
}

/// The files of a service; what is to be started comes last.
struct Service {
    manager: Manager,
    folder: PathBuf,
    files: Vec<(&'static str, String)>,
    /// What tells that a file is of a service of this home.
    own: String,
    /// Where its sink listens, if it has one.
    sink: Option<SocketAddr>,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Print(args) => Service::new(context, args)?.print()?,
        Command::Install(args) => {
            if !args.sync {
                serve::check(context, args.auth, addresses(context, args.http, args.grpc)?)?;
            }
            Service::new(context, args)?.install(context)?;
        }
        Command::Remove(args) => remove(context, args.manager, args.sync)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Service {
    fn new(context: &Context, args: &Args) -> anyhow::Result<Self> {
        let manager =
            args.manager.unwrap_or(if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd });
        let home = context.env.path("HOME").context("HOME is not set, so it is not known where services belong")?;
        let folder = match manager {
            Manager::Launchd => home.join("Library/LaunchAgents"),
            Manager::Systemd => {
                context.env.path("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("systemd/user")
            }
        };
        let mut call = call(context)?;
        match (args.sync, args.auth) {
            (true, _) => call.push("sync".to_string()),
            (false, AuthArg::Token) => call.push("serve".to_string()),
            (false, AuthArg::None) => call.extend(["serve", "--auth", "none"].map(str::to_string)),
        }
        let codex_home = context.env.path("CODEX_HOME").map(|path| text(&std::path::absolute(path)?)).transpose()?;
        let templates: &[(&'static str, &str)] = match (manager, args.sync) {
            (Manager::Systemd, false) => &[
                ("codex-tally.socket", include_str!("../../hooks/service/codex-tally.socket")),
                ("codex-tally.service", include_str!("../../hooks/service/codex-tally.service")),
            ],
            (Manager::Systemd, true) => &[
                ("codex-tally-sync.service", include_str!("../../hooks/service/codex-tally-sync.service")),
                ("codex-tally-sync.timer", include_str!("../../hooks/service/codex-tally-sync.timer")),
            ],
            (Manager::Launchd, false) => {
                &[("com.codex-tally.sink.plist", include_str!("../../hooks/service/com.codex-tally.sink.plist"))]
            }
            (Manager::Launchd, true) => {
                &[("com.codex-tally.sync.plist", include_str!("../../hooks/service/com.codex-tally.sync.plist"))]
            }
        };
        let (http, grpc) = addresses(context, args.http, args.grpc)?;
        let own = ["--home".to_string(), text(&std::path::absolute(&context.home)?)?];
        let own = if manager == Manager::Systemd { for_systemd(&own) } else { for_launchd(&own) };
        let grpc = grpc.map(|grpc| format!("ListenStream={grpc}\n")).unwrap_or_default();
        let filled = |template: &str| {
            let template = template.replace("@HTTP@", &http.to_string()).replace("ListenStream=@GRPC@\n", &grpc);
            let template =
                template.replace("@COMMAND@", &for_systemd(&call)).replace("@ARGUMENTS@\n", &for_launchd(&call));
            template.replace("@ENVIRONMENT@\n", &environment(manager, codex_home.as_deref()))
        };
        let files = templates.iter().map(|(name, template)| (*name, filled(template))).collect();
        Ok(Service { manager, folder, files, own, sink: (!args.sync).then_some(http) })
    }

    /// What is switched on: for systemd all that can be (a service without `[Install]` is started by its timer).
    fn units(&self) -> Vec<&'static str> {
        self.files
            .iter()
            .filter(|(_, text)| self.manager == Manager::Launchd || text.contains("[Install]"))
            .map(|(n, _)| *n)
            .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn print(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        for (name, file) in &self.files {
            write!(text, "# {}\n{file}\n", self.path(name).display())?;
        }
        out::data(text.as_bytes())
    }

    /// A file that starts this service for another home.
    fn of_another_home(&self) -> Option<PathBuf> {
        let starts_other = |text: &str| text.contains("--home") && !text.contains(&self.own);
        let paths = self.files.iter().map(|(name, _)| self.path(name));
        paths.into_iter().find(|path| std::fs::read_to_string(path).is_ok_and(|text| starts_other(&text)))
    }

    fn install(&self, context: &Context) -> anyhow::Result<()> {
        if let Some(path) = self.of_another_home() {
            bail!(
                "{} is the service of another home; take it away with `codex-tally --home THAT service remove`, or run \
                 `codex-tally serve` for this one",
                path.display()
            );
        }
        self.note_other_address(context)?;
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot create {}", self.folder.display()))?;
        for (name, text) in &self.files {
            write_file(&self.path(name), text.as_bytes())?;
            out::talk(&format!("wrote {}", self.path(name).display()));
        }
        if self.manager == Manager::Launchd {
            // launchd reads a file only once; it is no failure that there is nothing to unload.
            let _ = call_all(&self.launchctl("unload"));
        }
        let units = self.units();
        let commands = match self.manager {
            // Also what ran before, or failed, is to have these files.
            Manager::Systemd => vec![
                systemctl(&["daemon-reload"]),
                systemctl(&["--all", "reset-failed", ALL]),
                systemctl(&with(&["--quiet", "enable"], &units)),
                systemctl(&with(&["restart"], &units)),
            ],
            Manager::Launchd => self.launchctl("load"),
        };
        call_all(&commands).map_err(|failed| failed.installing(self.sink))?;
        let runs = match self.sink {
            Some(address) => await_sink(context, address)?,
            None => "spool and transcripts are read every 15 minutes,".to_string(),
        };
        let linger = " (also while you are logged out: `loginctl enable-linger`)";
        out::talk(&format!("{runs} from each login on{}", if self.manager == Manager::Systemd { linger } else { "" }));
        Ok(())
    }

    /// Codex and `doctor` go by the configuration.
    fn note_other_address(&self, context: &Context) -> anyhow::Result<()> {
        let (usual, _) = addresses(context, None, None)?;
        if let Some(here) = self.sink.filter(|here| *here != usual) {
            let path = context.config_path().display();
            out::talk(&format!(
                "note: this service listens on {here}, while `codex-tally init` and `doctor` go by {usual}: write `http = \"{here}\"` \
                 under `[sink]` in {path}, and run `codex-tally init`"
            ));
        }
        Ok(())
    }

    /// Stops it and takes its files away; false if there is none.
    fn remove(&self) -> anyhow::Result<bool> {
        let there: Vec<PathBuf> = self.files.iter().map(|(name, _)| self.path(name)).filter(|p| p.exists()).collect();
        if there.is_empty() {
            return Ok(false);
        }
        if let Some(path) = self.of_another_home() {
            out::talk(&format!("{} is the service of another home, so it stays", path.display()));
            return Ok(false);
        }
        let (units, reload) = (self.units(), systemctl(&["daemon-reload"]));
        // Without the files the same takes another command.
        let (stop, forget, by_hand) = match self.manager {
            Manager::Systemd => (
                vec![systemctl(&with(&["--quiet", "disable", "--now"], &units))],
                vec![reload.clone(), systemctl(&["--all", "reset-failed", ALL])],
                vec![systemctl(&with(&["stop"], &units)), reload],
            ),
            Manager::Launchd => {
                let label =
                    |name: &&str| ["launchctl", "remove", name.trim_end_matches(".plist")].map(str::to_string).to_vec();
                (self.launchctl("unload"), Vec::new(), units.iter().map(label).collect())
            }
        };
        let stopped = call_all(&stop);
        for path in there.into_iter().chain(self.links()) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            out::talk(&format!("removed {}", path.display()));
        }
        stopped.and_then(|()| call_all(&forget)).or_else(|failed| failed.removing(&by_hand))?;
        Ok(true)
    }

    /// What switches the units on, where systemd could not be asked to take it away: `default.target.wants/codex-tally.service`.
    fn links(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let wants = folders.filter(|folder| folder.extension().is_some_and(|extension| extension == "wants"));
        let links = wants.flat_map(|folder| self.files.iter().map(move |(name, _)| folder.join(name)));
        links.filter(|link| link.is_symlink()).collect()
    }

    fn launchctl(&self, what: &str) -> Vec<Vec<String>> {
        let of = |(name, _): &(&str, String)| {
            vec!["launchctl".to_string(), what.to_string(), "-w".to_string(), self.path(name).display().to_string()]
        };
        self.files.iter().map(of).collect()
    }
}

/// Asks at the address until our sink answers.
fn await_sink(context: &Context, address: SocketAddr) -> anyhow::Result<String> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let listener = who_listens(address, token::read(&context.home)?.as_deref())?;
        if context.config.sink.is_encrypted() && listener == Listener::Stranger {
            // It answers nothing that is not encrypted; a sink that cannot start closes the port.
            return Ok(format!(
                "something listens on https://{address} now (`codex-tally doctor` tells whether it is the sink), and"
            ));
        }
        if matches!(listener, Listener::Ours(_) | Listener::Open(_)) {
            return Ok(format!("the sink listens on http://{address} now, and"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!(
        "the service is installed, but its sink does not answer on {address}; `codex-tally serve` or the manager's log \
         (`journalctl --user -u codex-tally`) says why. When that is put right, install it again"
    )
}

/// How to start the sink that is installed as a service again; nothing if there is none.
pub(super) fn start_again(context: &Context) -> Option<&'static str> {
    let args = Args { manager: None, sync: false, http: None, grpc: None, auth: AuthArg::Token };
    let service = Service::new(context, &args).ok()?;
    let there = service.files.iter().any(|(name, _)| service.path(name).exists());
    (there && service.of_another_home().is_none()).then_some(match service.manager {
        Manager::Systemd => {
            "systemctl --user --all reset-failed 'codex-tally*'; systemctl --user restart codex-tally.socket codex-tally.service"
        }
        Manager::Launchd => "launchctl kickstart -k gui/$(id -u)/com.codex-tally.sink",
    })
}

/// Removes the timer, and unless only that is meant, the sink's service.
fn remove(context: &Context, manager: Option<Manager>, only_sync: bool) -> anyhow::Result<()> {
    let mut any = false;
    for sync in [false, true].into_iter().filter(|sync| *sync || !only_sync) {
        let args = Args { manager, sync, http: None, grpc: None, auth: AuthArg::Token };
        any |= Service::new(context, &args)?.remove()?;
    }
    if !any {
        out::talk("there is no such service");
    }
    Ok(())
}

/// Stops and removes the services of this home.
///
/// # Errors
/// A file cannot be removed, or the manager does not stop the service; the message says what is left to do.
pub(super) fn remove_all(context: &Context) -> anyhow::Result<()> {
    if context.env.path("HOME").is_none() {
        return Ok(());
    }
    for sync in [false, true] {
        let service =
            Service::new(context, &Args { manager: None, sync, http: None, grpc: None, auth: AuthArg::Token })?;
        let of_this_home =
            |name: &str| std::fs::read_to_string(service.path(name)).is_ok_and(|text| text.contains(&service.own));
        if service.files.iter().any(|(name, _)| of_this_home(name)) {
            service.remove()?;
        }
    }
    Ok(())
}

/// The program with the settings of this call, as it is to be run.
fn call(context: &Context) -> anyhow::Result<Vec<String>> {
    let executable = std::env::current_exe().context("this program's own path is not known")?;
    let arg0 = std::env::args_os().next().unwrap_or_default();
    let search = context.env.path("PATH");
    // The path that stays the same when the program is updated.
    let program = setup::invoked(&arg0, search.as_deref().map(Path::as_os_str), &executable);
    let mut call = vec![text(&program)?];
    if context.database() != context.home.join("tally.db") {
        call.extend(["--db".to_string(), format!("sqlite:{}", text(&std::path::absolute(context.database())?)?)]);
    }
    let files = [("--config", context.asked_config.as_ref()), ("--teams", context.asked_teams.as_ref())];
    for (flag, path) in [("--home", Some(&context.home))].into_iter().chain(files) {
        if let Some(path) = path {
            call.extend([flag.to_string(), text(&std::path::absolute(path)?)?]);
        }
    }
    Ok(call)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().filter(|path| !path.contains(char::is_control));
    Ok(text.with_context(|| format!("{} cannot be written into a service's file", path.display()))?.to_string())
}

/// What the shell knows and a service does not: where Codex keeps its sessions.
fn environment(manager: Manager, codex_home: Option<&str>) -> String {
    let Some(home) = codex_home else { return String::new() };
    match manager {
        Manager::Systemd => {
            format!("Environment={}\n", for_systemd(&[format!("CODEX_HOME={home}")]).replace("$$", "$"))
        }
        Manager::Launchd => {
            let value = for_launchd(&[home.to_string()]);
            format!("  <key>EnvironmentVariables</key>\n  <dict>\n    <key>CODEX_HOME</key>\n{value}  </dict>\n")
        }
    }
}

/// Quoted as systemd reads it: `%` and `$` mean something there.
fn for_systemd(call: &[String]) -> String {
    let quoted = |word: &String| {
        let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
        format!("\"{word}\"")
    };
    call.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn for_launchd(call: &[String]) -> String {
    let escaped = |word: &String| word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    call.iter().map(|word| format!("    <string>{}</string>\n", escaped(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted() {
        let call = ["/a b/100%/\"x\"/$y\\z".to_string(), "--home".to_string()];
        assert_eq!(for_systemd(&call), r#""/a b/100%%/\"x\"/$$y\\z" "--home""#);
        assert_eq!(for_launchd(&["<&>".to_string()]), "    <string>&lt;&amp;&gt;</string>\n");
        assert!(text(Path::new("/a\nExecStart=evil")).is_err());
    }
}
