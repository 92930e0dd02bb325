//! The command line. One file a command; only `out` prints; exit 0 ok, 1 failed or findings, 2 usage.

mod attribution;
mod backup;
mod billing;
mod chargeback;
mod context;
mod demo;
mod doctor;
mod edits;
mod export;
mod folder;
mod forward;
mod holder;
mod hook;
mod import;
mod init;
mod ledger;
mod limits;
mod manager;
mod notify;
mod observations;
mod out;
mod paint;
mod price_update;
mod prices;
mod purge;
mod reconcile;
mod report;
mod restore;
mod seal;
mod serve;
mod service;
mod sessions;
mod shell;
mod show;
mod sink;
mod sockets;
mod system;
mod token;
mod trust;
mod uninstall;
mod unregister;
mod whose;

pub use hook::run as hook;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use context::Context;
use paint::Colour;
use std::path::PathBuf;
use std::process::ExitCode;

/// What did Codex cost, who spent it, and can you trust the number?
#[derive(Debug, Parser)]
#[command(name = "codex-tally", version, propagate_version = true, after_help = EXAMPLE)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "Examples:
  codex-tally demo                          see it work on bundled real sessions
  codex-tally init                          register with Codex, so that every session is recorded
  codex-tally doctor                        is everything recorded, and if not, what to do
  codex-tally report monthly                what your sessions cost, by month, project, model and user
  codex-tally report monthly -p 2026-10 --format csv --out october.csv
  codex-tally chargeback -p 2026-10 --out october
                                            what each team pays: a CSV and a statement each
  codex-tally export focus -p 2026-10 --out october-focus.csv
                                            the month's charges for finance tools (FinOps FOCUS)
  codex-tally show last                     the last session, turn by turn
  codex-tally serve                         receive Codex's telemetry; prints the lines for its config.toml

Environment: CODEX_TALLY_HOME, CODEX_TALLY_DB, CODEX_TALLY_CONFIG, CODEX_TALLY_OFF=1 (hook off), CODEX_TALLY_TEAM, CODEX_HOME.";

/// Options of all commands.
#[derive(Debug, clap::Args)]
struct Global {
    /// The folder of store, spool and token [env: CODEX_TALLY_HOME] [default: ~/.local/state/codex-tally]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The database, sqlite:PATH [env: CODEX_TALLY_DB] [default: tally.db in the home]
    #[arg(long, global = true, value_name = "URL")]
    db: Option<String>,
    /// The configuration file [env: CODEX_TALLY_CONFIG] [default: config.toml in the home]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The rules on who pays [default: `teams` in the configuration, else teams.toml in the home]
    #[arg(long, global = true, value_name = "FILE")]
    teams: Option<PathBuf>,
    /// Say only warnings and errors on stderr
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Colours in text for people
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Colour,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take one hook payload from stdin to the spool; what Codex runs (also as the program codex-tally-hook)
    #[command(after_help = "Example, in Codex's config.toml:
  [[hooks.PostModelRequest]]
  [[hooks.PostModelRequest.hooks]]
  type = \"command\"
  command = \"/usr/local/bin/codex-tally-hook\"

Always exits 0 and prints nothing. CODEX_TALLY_OFF=1, or a file `off` in the home, switches it off.")]
    Hook,
    Serve(serve::Args),
    #[command(subcommand)]
    Service(service::Command),
    Import(import::ImportArgs),
    Sync(import::SyncArgs),
    #[command(subcommand)]
    Observations(observations::Command),
    #[command(subcommand)]
    Report(report::Command),
    Show(show::Args),
    Chargeback(chargeback::Args),
    #[command(subcommand)]
    Export(export::Command),
    #[command(subcommand)]
    Ledger(ledger::Command),
    #[command(subcommand)]
    Attribution(attribution::Command),
    #[command(subcommand)]
    Billing(billing::Command),
    Reconcile(reconcile::Args),
    #[command(subcommand)]
    Prices(prices::Command),
    Backup(backup::Args),
    Restore(restore::Args),
    Purge(purge::Args),
    Init(init::Args),
    Uninstall(uninstall::Args),
    Doctor(doctor::Args),
    Demo(demo::Args),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    // Everything this program writes is private to its user.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    limits::survive_large_files();
    let parsed = Cli::command().color(paint::of_help(std::env::args_os())).try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(e) => {
            sockets::give_up_inherited();
            return out::usage(&e);
        }
    };
    out::set_manner(out::Manner { quiet: cli.global.quiet, colour: cli.global.color });
    match dispatch(cli) {
        Ok(code) => code,
        Err(e) => out::failed(&e),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = || Context::new(&cli.global);
    match cli.command {
        Command::Hook => hook::run(),
        Command::Serve(args) => serve::run(context(), &args),
        Command::Service(command) => service::run(&context()?, &command),
        Command::Import(args) => import::import(&context()?, &args),
        Command::Sync(args) => import::sync(&context()?, &args),
        Command::Observations(command) => observations::run(&context()?, &command),
        Command::Report(command) => report::run(&context()?, &command),
        Command::Show(args) => show::run(&context()?, &args),
        Command::Chargeback(args) => chargeback::run(&context()?, &args),
        Command::Export(command) => export::run(&context()?, &command),
        Command::Ledger(command) => ledger::run(&context()?, &command),
        Command::Attribution(command) => attribution::run(&context()?, &command),
        Command::Billing(command) => billing::run(&context()?, &command),
        Command::Reconcile(args) => reconcile::run(&context()?, &args),
        Command::Prices(command) => prices::run(&context()?, &command),
        Command::Backup(args) => backup::run(&context()?, &args),
        Command::Restore(args) => restore::run(&context()?, &args),
        Command::Purge(args) => purge::run(&context()?, &args),
        Command::Init(args) => init::run(&context()?, cli.global.home.is_some(), &args),
        Command::Uninstall(args) => uninstall::run(&context()?, &args),
        Command::Doctor(args) => doctor::run(context(), || Context::unconfigured(&cli.global), &args),
        Command::Demo(args) => demo::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    }
}
