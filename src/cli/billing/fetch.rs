//! `billing fetch`: an export from the provider, written to a file and imported like any other.

use super::import::{How, import};
use super::{Context, out};
use crate::cli::context::{today, write_file};
use crate::cli::report::{day, period};
use crate::model::{BillingSource, Day};
use crate::remote::{Ask, Key, fetch_pages};
use crate::store::spool::create_private_dir;
use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const OPENAI: &str = "https://api.openai.com";
const CHATGPT: &str = "https://api.chatgpt.com";

/// The most days that are asked for at once.
const MOST_DAYS: usize = 400;

/// Fetch an export from the provider, with a key, and store it
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  codex-tally billing fetch costs -p 2026-10
  codex-tally billing fetch usage --since 2026-10-01 --until 2026-10-07

The key is taken from the environment or from a private file named in config.toml, is sent to the provider only, and stored nowhere.")]
pub(in crate::cli) enum Command {
    /// The organisation's tokens by day, project, key, user, model and tier
    #[command(after_help = "Example:
  OPENAI_ADMIN_KEY=... codex-tally billing fetch usage -p 2026-10")]
    Usage(Args),
    /// The organisation's costs by day, project, key and line item
    #[command(after_help = "Example:
  OPENAI_ADMIN_KEY=... codex-tally billing fetch costs --since 2026-10-01 --until 2026-10-31")]
    Costs(Args),
    /// The credits of a ChatGPT workspace by day and user
    #[command(after_help = "Example, with workspace = \"ID\" below [billing] in config.toml:
  OPENAI_ANALYTICS_KEY=... codex-tally billing fetch workspace -p 2026-10")]
    Workspace(Args),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A billing period, YYYY-MM, or an ISO week, YYYY-Www
    #[arg(short, long, value_name = "PERIOD", conflicts_with_all = ["since", "until"], value_parser = period)]
    period: Option<(Day, Day)>,
    /// The first day (UTC), YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = day, required_unless_present = "period")]
    since: Option<Day>,
    /// The last day, inclusive [default: today]
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Day>,
    /// The organisation or workspace that is billed [default: what the answer says, else openai or chatgpt]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Write the pages to this file [default: one in the folder billing of the home]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long to wait for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(super) fn run(context: &Context, command: &Command) -> anyhow::Result<ExitCode> {
    let (what, args) = match command {
        Command::Usage(args) => ("usage", args),
        Command::Costs(args) => ("costs", args),
        Command::Workspace(args) => ("workspace", args),
    };
    let (since, until) = match (args.period, args.since) {
        (Some(days), _) => days,
        (None, Some(since)) => (since, args.until.unwrap_or_else(today)),
        (None, None) => return Ok(out::misused("give the days: -p PERIOD, or --since DAY")),
    };
    if since > until {
        return Ok(out::misused("--since is after --until"));
    }
    if std::iter::successors(Some(since), |day| Some(day.next())).take(MOST_DAYS).all(|day| day < until) {
        return Ok(out::misused(&format!("these are more than {MOST_DAYS} days; fetch fewer at once")));
    }
    let ask = ask(context, what, (since, until), args)?;
    let mut shown = out::Progress::new();
    let pages = fetch_pages(&ask, &mut |what| shown.show(|| what.to_string()))?;
    drop(shown);
    let path = match &args.out {
        Some(path) => path.clone(),
        None => default_path(context, what, (since, until), &pages)?,
    };
    write_file(&path, &pages)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).display().to_string();
    // Nothing was left out of it, so it is all that there is of these days.
    let how = How { account: args.account.clone(), whole: true, part: false };
    let source = match command {
        Command::Usage(_) => BillingSource::Usage,
        Command::Costs(_) => BillingSource::Costs,
        Command::Workspace(_) => BillingSource::Workspace,
    };
    let asked = (source, (since.start(), until.next().start()));
    let said = import(&mut context.open()?, &name, &pages, &how, Some(asked));
    let said = said.with_context(|| format!("{} was written, but not imported", path.display()))?;
    out::talk(&format!("{}: {said}", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn default_path(context: &Context, what: &str, (since, until): (Day, Day), pages: &[u8]) -> anyhow::Result<PathBuf> {
    context.make_home()?;
    let folder = context.home.join("billing");
    create_private_dir(&folder).with_context(|| format!("cannot use {}", folder.display()))?;
    let hash: String = Sha256::digest(pages).iter().take(4).map(|b| format!("{b:02x}")).collect();
    Ok(folder.join(format!("{what}-{since}-{until}-{hash}.json")))
}

/// What is asked for. Days end where the next one begins.
fn ask<'a>(context: &'a Context, what: &str, (since, until): (Day, Day), args: &Args) -> anyhow::Result<Ask<'a>> {
    let config = &context.config.billing;
    let seconds = |day: Day| (day.start().0 / 1_000_000_000).to_string();
    let mut query = vec![("start_time", seconds(since)), ("end_time", seconds(until.next()))];
    let group = |names: &[&str]| names.iter().map(|name| ("group_by", (*name).to_string())).collect::<Vec<_>>();
    let is_workspace = what == "workspace";
    let path = match what {
        "usage" => {
            query.extend([("bucket_width", "1d".to_string()), ("limit", "31".to_string())]);
            query.extend(group(&["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"]));
            "/v1/organization/usage/completions".to_string()
        }
        "costs" => {
            query.extend([("bucket_width", "1d".to_string()), ("limit", "180".to_string())]);
            query.extend(group(&["project_id", "line_item", "api_key_id"]));
            "/v1/organization/costs".to_string()
        }
        _ => {
            query.extend(group(&["day"]));
            let plain = |id: &&String| {
                !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            };
            let workspace = config.workspace.as_ref().filter(plain);
            let workspace =
                workspace.context("which workspace? Write workspace = \"ID\" below [billing] in config.toml")?;
            format!("/v1/analytics/codex/workspaces/{workspace}/usage")
        }
    };
    let (origin, variable, file) = if is_workspace {
        (config.chatgpt_url.as_deref().unwrap_or(CHATGPT), "OPENAI_ANALYTICS_KEY", &config.analytics_key_file)
    } else {
        (config.openai_url.as_deref().unwrap_or(OPENAI), "OPENAI_ADMIN_KEY", &config.admin_key_file)
    };
    let name = if is_workspace { "analytics_key_file" } else { "admin_key_file" };
    let key = match (context.env.text(variable), file) {
        (Some(key), _) => Key::new(&key).with_context(|| format!("cannot use {variable}"))?,
        (None, Some(path)) => read_key(path).with_context(|| format!("cannot use the key in {}", path.display()))?,
        (None, None) => bail!(
            "there is no key: set {variable}, or write {name} = \"FILE\" below [billing] in config.toml, with the key in a file that only \
             you can read"
        ),
    };
    Ok(Ask { origin, path, query, key, patience: Duration::from_secs(args.timeout) })
}

/// A key in a file that nobody else can read.
fn read_key(path: &Path) -> anyhow::Result<Key> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others can read it; run: chmod 600 {}", path.display());
    }
    Key::new(&std::fs::read_to_string(path)?)
}
