//! `doctor`: is everything recorded, and if not, what to do. One check a line, each with a verdict and the next step.

mod codex;
mod encrypted;
mod environment;
mod ledger;
mod live;
mod origin;
mod telemetry;

use super::context::Context;
use super::out;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check that everything is recorded, and say what to do where it is not
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Asks Codex itself which configuration and hooks it uses, and the sink to show that it is ours. Changes nothing.
Exit 0 if nothing fails (warnings may be there), else 1.

Examples:
  codex-tally doctor
  codex-tally doctor --live                 also send a probe through hook and sink; it never enters the ledger
  codex-tally doctor --json | jq '.checks[] | select(.verdict != \"ok\")'"
)]
pub(super) struct Args {
    /// Write one JSON document
    #[arg(long)]
    json: bool,
    /// Also send a probe through the hook and the sink
    #[arg(long)]
    live: bool,
    /// Where Codex keeps its configuration [env: CODEX_HOME] [default: ~/.codex]
    #[arg(long, value_name = "DIR")]
    codex_home: Option<PathBuf>,
    /// The Codex program [default: codex in PATH]
    #[arg(long, value_name = "PROGRAM")]
    codex: Option<PathBuf>,
}

/// What a check found, gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    /// What was found.
    says: String,
    /// What to do about it.
    next: Option<String>,
}

/// The checks so far.
#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ok(&mut self, check: &'static str, says: impl Into<String>) {
        self.0.push(Check { check, verdict: Verdict::Ok, says: says.into(), next: None });
    }

    fn warn(&mut self, check: &'static str, says: impl Into<String>, next: impl Into<String>) {
        self.0.push(Check { check, verdict: Verdict::Warn, says: says.into(), next: Some(next.into()) });
    }

    fn fail(&mut self, check: &'static str, says: impl Into<String>, next: impl Into<String>) {
        self.0.push(Check { check, verdict: Verdict::Fail, says: says.into(), next: Some(next.into()) });
    }

    fn worst(&self) -> Verdict {
        self.0.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
    }
}

/// `else_with` gives what there is to go by where the configuration cannot be read.
pub(super) fn run(
    context: anyhow::Result<Context>,
    else_with: impl FnOnce() -> anyhow::Result<Context>,
    args: &Args,
) -> anyhow::Result<ExitCode> {
    let mut checks = Checks::default();
    let context = match context {
        Ok(context) => context,
        Err(e) => {
            let says = format!("{e:#}; every command stops here, and what follows is checked without it");
            checks.fail("own configuration", says, "repair what it names, or move it away");
            else_with()?
        }
    };
    let context = &context;
    let seen = codex::check(context, args, &mut checks);
    telemetry::check(context, &seen, &mut checks);
    ledger::check(context, &mut checks);
    if args.live {
        live::check(context, &seen, &mut checks);
    }
    let worst = checks.worst();
    if args.json {
        let document = serde_json::json!({"schema": 1, "verdict": worst, "checks": checks.0});
        out::data(format!("{document:#}\n").as_bytes())?;
    } else {
        out::data(screen(&checks.0).as_bytes())?;
    }
    Ok(if worst == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What in this shell's environment keeps telemetry or hook from us, each with what to do about it.
pub(super) fn environment(context: &Context) -> anyhow::Result<Vec<(String, String)>> {
    let token = super::token::read(&context.home)?;
    Ok(environment::findings(context, &codex::Seen::default(), token.as_deref()))
}

fn screen(checks: &[Check]) -> String {
    let mut text = String::new();
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        // An error may have several lines; here each is one.
        let line = |text: &str| {
            let words = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
            crate::report::format::terminal_text(&words.join(" "))
        };
        text += &format!("{verdict}  {:<width$}  {}\n", check.check, line(&check.says));
        if let Some(next) = &check.next {
            text += &format!("{:width$}      -> {}\n", "", line(next));
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let several = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (warnings, failures) = (several(count(Verdict::Warn), "warning"), several(count(Verdict::Fail), "failure"));
    text += &format!("\n{} checks, {warnings}, {failures}\n", checks.len());
    text
}
