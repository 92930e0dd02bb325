//! The usage of a ChatGPT workspace by user and day, in credits, as its analytics API and its dashboard export it.
//!
//! Two layouts are documented: figures and `user` in the row itself, or figures in `totals` and the user as `user_id` beside an
//! `actor`. Amounts by client (`clients`) and by model are parts of the same figures and are not read.

use super::pages::key;
use super::wire::{Fields, kept};
use super::{Input, wire};
use crate::model::{BillingSource, Channel, Charge, ChargeKind, Day, Origin, Pico, Timestamp, TokenSums};
use std::collections::BTreeMap;

/// Whether an object may be such a row.
pub(super) fn is_row(fields: &Fields<'_>) -> bool {
    (fields.has("start_time") || fields.has("date")) && (fields.has("credits") || fields.has("totals"))
}

/// What a row says, whatever its layout is.
#[derive(Default)]
struct Said {
    workspace: Option<String>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    user: Option<String>,
    email: Option<String>,
    credits: Option<(Pico, bool)>,
    model: Option<String>,
    /// All input, cached input, output.
    tokens: [Option<i64>; 3],
    requests: Option<i64>,
}

pub(super) fn json(
    mut fields: Fields<'_>,
    workspace: Option<&str>,
    row: u64,
    input: &Input<'_>,
    ignored: &mut BTreeMap<String, u64>,
) -> Result<Charge, String> {
    let mut said = Said {
        workspace: fields.text("workspace_id")?.or_else(|| workspace.map(str::to_string)),
        start: fields.time("start_time")?,
        end: fields.time("end_time")?,
        user: fields.text("user_id")?,
        email: fields.text("email")?.or(fields.text("user_email")?),
        model: fields.text("model")?,
        ..Said::default()
    };
    if let Some(day) = fields.time("date")? {
        said.start = said.start.or(Some(day));
    }
    for name in ["user", "actor"] {
        let mut who = fields.object(name)?;
        said.user = said.user.take().or(who.text("id")?).or(who.text("user_id")?);
        said.email = said.email.take().or(who.text("email")?);
        count_rest(who, name, ignored);
    }
    let mut figures = fields.object("totals")?;
    said.credits = fields.decimal("credits")?.or(figures.decimal("credits")?);
    said.requests = fields.count("turns")?.or(figures.count("turns")?);
    let mut tokens = fields.object("tokens")?;
    said.tokens = [tokens.count("text_input")?, tokens.count("cached_input")?, tokens.count("output")?];
    count_rest(tokens, "tokens", ignored);
    if let Some(uncached) = figures.count("uncached_text_input_tokens")? {
        let cached = figures.count("cached_text_input_tokens")?.unwrap_or(0);
        said.tokens = [Some(uncached + cached), Some(cached), figures.count("text_output_tokens")?];
    }
    count_rest(figures, "totals", ignored);
    fields.rest(ignored);
    charge(said, row, input)
}

fn count_rest(fields: Fields<'_>, of: &str, ignored: &mut BTreeMap<String, u64>) {
    let mut inner = BTreeMap::new();
    fields.rest(&mut inner);
    inner.into_iter().for_each(|(name, n)| *ignored.entry(format!("{of}.{name}")).or_default() += n);
}

/// The columns of the CSV that are read, each with the names that it may have.
const COLUMNS: [(&str, &[&str]); 11] = [
    ("workspace", &["workspace_id", "workspace"]),
    ("start", &["date", "day", "start_time"]),
    ("end", &["end_time"]),
    ("user", &["user_id", "account_user_id"]),
    ("email", &["email", "user_email"]),
    ("credits", &["credits", "total_credits"]),
    ("model", &["model"]),
    ("input", &["text_input_tokens", "input_tokens", "text_input"]),
    ("cached", &["cached_text_input_tokens", "cached_input_tokens", "cached_input"]),
    ("output", &["text_output_tokens", "output_tokens", "output"]),
    ("turns", &["turns", "total_turns"]),
];

/// Whether a heading is that of such a CSV.
pub(super) fn is_table(header: &[&str]) -> bool {
    let has =
        |what: &str| COLUMNS.iter().any(|(name, names)| *name == what && names.iter().any(|n| header.contains(n)));
    has("start") && has("credits") && (has("user") || has("email"))
}

/// A row of the CSV, by column.
pub(super) fn row(
    header: &[&str],
    values: &[&str],
    row: u64,
    input: &Input<'_>,
    ignored: &mut BTreeMap<String, u64>,
) -> Result<Charge, String> {
    let mut said = Said::default();
    for (column, value) in header.iter().zip(values) {
        let Some((what, _)) = COLUMNS.iter().find(|(_, names)| names.contains(column)) else {
            *ignored.entry((*column).to_string()).or_default() += 1;
            continue;
        };
        let Some(value) = kept(value) else { continue };
        match *what {
            "workspace" => said.workspace = Some(value),
            "start" => said.start = Some(wire::time(column, &value)?),
            "end" => said.end = Some(wire::time(column, &value)?),
            "user" => said.user = Some(value),
            "email" => said.email = Some(value),
            "credits" => said.credits = Some(wire::decimal(column, &value)?),
            "model" => said.model = Some(value),
            "input" => said.tokens[0] = Some(wire::count(column, &value)?),
            "cached" => said.tokens[1] = Some(wire::count(column, &value)?),
            "output" => said.tokens[2] = Some(wire::count(column, &value)?),
            _ => said.requests = Some(wire::count(column, &value)?),
        }
    }
    charge(said, row, input)
}

fn charge(said: Said, row: u64, input: &Input<'_>) -> Result<Charge, String> {
    let start = said.start.ok_or("it has no day")?;
    let end = said.end.unwrap_or_else(|| Day::next(start.day()).start());
    if end <= start {
        return Err(format!("it ends ({}) before it begins ({})", end.to_rfc3339(), start.to_rfc3339()));
    }
    let (credits, _) = said.credits.ok_or("it has no credits")?;
    let [all, cached, output] = said.tokens;
    let usage = all.or(output).map(|_| TokenSums {
        input: all.unwrap_or(0),
        cached_input: cached.unwrap_or(0),
        cache_write: 0,
        output: output.unwrap_or(0),
        reasoning: 0,
    });
    if usage.is_some_and(|usage| usage.uncached_input() < 0) {
        return Err("it has more cached input than input".to_string());
    }
    let email = said.email.map(|email| email.to_lowercase());
    // An address may be left out of one export and be in the next: the id says who it is.
    let who = match (&said.user, &email) {
        (Some(id), _) => vec![("user_id".to_string(), id.clone())],
        (None, Some(email)) => vec![("email".to_string(), email.clone())],
        (None, None) => Vec::new(),
    };
    let model = said.model.iter().map(|model| ("model".to_string(), model.clone()));
    let keys: Vec<(String, String)> = who.into_iter().chain(model).collect();
    let account = input.account.map(str::to_string).or(said.workspace).unwrap_or_else(|| "chatgpt".to_string());
    Ok(Charge {
        source: BillingSource::Workspace,
        kind: ChargeKind::Usage,
        channel: Channel::Chatgpt,
        account,
        invoice: String::new(),
        key: key(&keys),
        start,
        end,
        project: None,
        api_key: None,
        user: said.user,
        email,
        model: said.model,
        tier: None,
        line_item: None,
        quantity: None,
        requests: said.requests,
        usage,
        money: None,
        credits: Some(credits),
        origin: Origin { file: input.sha256.to_string(), row },
    })
}
