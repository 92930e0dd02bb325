//! `prices update`: reads public price lists, shows what differs from the book, and adds dated periods to the user's file.

use super::context::{Context, today, write_file};
use super::out;
use crate::model::Day;
use crate::pricing::{Asked, Entry, Feed, Offers, Outcome, PUBLISHED, PriceBook, Update, compare};
use crate::remote;
use crate::report::format::terminal_text;
use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A list: litellm, genai-prices, models.dev, a URL, or a file that was downloaded; several are compared with each other
    #[arg(long, value_name = "LIST", required = true)]
    from: Vec<String>,
    /// Believe this list where they disagree; without it such a model is not added
    #[arg(long, value_name = "LIST")]
    prefer: Option<String>,
    /// Only these models
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    only: Vec<String>,
    /// The UTC day from which on what is added holds, YYYY-MM-DD [default: today]
    #[arg(long, value_name = "DAY", value_parser = super::report::day)]
    at: Option<Day>,
    /// Only show it
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Add it without asking
    #[arg(long)]
    yes: bool,
    /// How long to wait for a list
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let path = context.prices_path();
    let text = context.own_prices()?;
    let book = context.price_book()?;
    let day = args.at.unwrap_or_else(today);
    let mut feeds: Vec<Feed> = Vec::new();
    for from in &args.from {
        let feed = read(from, day, Duration::from_secs(args.timeout))?;
        if feeds.iter().any(|known| known.hash == feed.hash) {
            bail!("--from {from}: the same content as another list; give each once");
        }
        feeds.push(feed);
    }
    let preferred = |name: &String| feeds.iter().any(|feed| feed.name == *name || feed.offers.format == name);
    if let Some(name) = args.prefer.as_ref().filter(|name| !preferred(name)) {
        return Ok(out::misused(&format!("--prefer {name} is none of the lists of --from")));
    }
    let update = compare(&book, &feeds, &Asked { day, prefer: args.prefer.as_deref(), only: &args.only });
    out::text(&shown(&update, &feeds))?;
    let flagged = |entry: &Entry| match entry.outcome {
        Outcome::Disagreed => true,
        Outcome::Held => book.models().any(|model| model == entry.model),
        Outcome::Changed | Outcome::New | Outcome::Confirmed => false,
    };
    let code = if update.entries.iter().any(flagged) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if update.additions() == 0 || args.dry_run {
        return Ok(code);
    }
    let what = format!("{} periods from {day} on to {}", update.additions(), path.display());
    if !args.yes && !out::ask(&format!("Add {what}?")) {
        out::talk(&format!("nothing was added; --yes adds {what}"));
        return Ok(code);
    }
    let new = update.appended(text.as_deref(), &book, &feeds, today());
    // Nothing is kept that a report would not read, or that would come again.
    let with =
        PriceBook::builtin().with_own(&new).context("nothing was added: the new file would not be understood")?;
    if compare(&with, &feeds, &Asked { day, prefer: args.prefer.as_deref(), only: &args.only }).additions() > 0 {
        bail!("nothing was added: the new file would not have what was to be added");
    }
    if context.own_prices()? != text {
        bail!("{} was changed meanwhile and is left as it is; run this again", path.display());
    }
    context.make_home()?;
    write_file(&path, new.as_bytes())?;
    out::talk(&format!("added {what}"));
    Ok(code)
}

/// Reads a list from where it is said to be.
fn read(from: &str, day: Day, patience: Duration) -> anyhow::Result<Feed> {
    let published = PUBLISHED.iter().find(|(name, _)| *name == from);
    let url = published.map(|(_, url)| *url).or_else(|| from.contains("://").then_some(from));
    let bytes = match url {
        Some(url) => remote::fetch(url, patience)?,
        None => read_file(Path::new(from))?,
    };
    let place = url.unwrap_or(from);
    let offers = Offers::read(&bytes, day).map_err(anyhow::Error::msg).with_context(|| format!("--from {from}"))?;
    if let Some((name, _)) = published.filter(|(name, _)| *name != offers.format) {
        bail!("--from {name}: {place} has the format of {}", offers.format);
    }
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let text = format!("{} ({place}, sha256 {hash})", offers.format);
    Ok(Feed { name: from.to_string(), text, hash, offers })
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot =
        || format!("cannot read {} (--from takes litellm, genai-prices, models.dev, a URL or a file)", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(cannot)?;
    file.take(remote::LIMIT + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > remote::LIMIT {
        bail!("{} is larger than {} MiB", path.display(), remote::LIMIT / 1024 / 1024);
    }
    Ok(bytes)
}

fn shown(update: &Update, feeds: &[Feed]) -> String {
    let mut text = format!("prices of {}, USD per 1M tokens, compared with:\n", update.day);
    for feed in feeds {
        text.push_str(&format!("  {}, {} models\n", feed.text, feed.offers.len()));
    }
    for entry in &update.entries {
        text.push_str(&format!("\n{:<9} {}\n", entry.outcome.name(), entry.model));
        entry.lines.iter().for_each(|line| text.push_str(&format!("          {line}\n")));
    }
    let count = |outcome: Outcome| {
        let n = update.entries.iter().filter(|entry| entry.outcome == outcome).count();
        (n > 0).then(|| format!("{n} {}, ", outcome.name()))
    };
    let counts: String = Outcome::ALL.into_iter().filter_map(count).collect();
    text.push_str(&format!("\n{counts}{} unchanged", update.unchanged));
    if !update.missed.is_empty() {
        text.push_str(&format!("; in no list: {}", update.missed.join(", ")));
    }
    text.push('\n');
    text.lines().map(|line| terminal_text(line) + "\n").collect()
}
