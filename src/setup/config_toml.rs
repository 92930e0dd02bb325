//! Our part of Codex's `config.toml` (or `requirements.toml`).
//!
//! toml_edit says where everything stands; the edits themselves are splices, so that what is not ours keeps its bytes, line
//! ends and order. Codex writes trust between our tables, so ours are found by what they say and not by where they are.

mod moved;
mod remove;

pub use moved::with_command;
pub use remove::remove;
pub(super) use remove::{cut_table, is_remarked};

use super::splice::Splices;
use super::{EVENTS, Refused};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use toml_edit::{Document, Item, Table, TableLike};

/// Stands above what is added, and goes with it.
const REMARK: &str = "# Added by codex-tally: what sessions cost. `codex-tally uninstall` takes it out again.";

/// What is to be in the file.
#[derive(Debug, Clone, Default)]
pub struct AddToml {
    /// The hook's command, if hooks are registered in this file.
    pub command: Option<String>,
    /// For the managed layer: the folder that managed hooks come from.
    pub managed_dir: Option<String>,
    /// The exporter, if it is set in this file.
    pub exporter: Option<Otel>,
    /// The exporter of ours that an earlier call has put in, as the file has it; it is replaced.
    pub replaces: Option<String>,
}

/// Where Codex sends its logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otel {
    /// `http://127.0.0.1:4318/v1/logs`
    pub endpoint: String,
    /// Headers with their values.
    pub headers: Vec<(String, String)>,
}

impl Otel {
    /// The exporter for a sink.
    pub fn of_sink(address: SocketAddr, token: Option<&str>) -> Self {
        let header = |token| ("authorization".to_string(), format!("Bearer {token}"));
        Otel { endpoint: format!("http://{address}/v1/logs"), headers: token.map(header).into_iter().collect() }
    }

    /// The value in Codex's configuration.
    pub fn value(&self) -> String {
        let header = |(name, value): &(String, String)| format!("{} = {}", quoted(name), quoted(value));
        let headers = self.headers.iter().map(header).collect::<Vec<_>>().join(", ");
        let headers = if headers.is_empty() { headers } else { format!(", headers = {{ {headers} }}") };
        format!("{{ otlp-http = {{ endpoint = {}, protocol = \"binary\"{headers} }} }}", quoted(&self.endpoint))
    }
}

/// What has been put into a file: all that taking it out must know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Added {
    /// The events whose hooks were registered.
    pub events: Vec<String>,
    /// Those of them that had no hooks at all.
    pub new_events: Vec<String>,
    /// The keys of `[otel]` that were set, with what stood there before.
    pub otel: Vec<(String, Option<String>)>,
    /// The exporter as the file has it now.
    pub exporter: Option<String>,
    /// `[otel]` was not there.
    pub created_otel: bool,
    /// `[hooks]` was not there.
    pub created_hooks: bool,
    /// The file did not end with a line end.
    pub ended_line: bool,
    /// The table of trusted hooks was not there.
    pub without_state: bool,
}

impl Added {
    /// Whether nothing was put in.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.otel.is_empty()
    }

    /// What several calls have put in: what was there before the first one counts.
    pub fn and_then(mut self, later: Added) -> Added {
        let known: Vec<String> = self.otel.iter().map(|(key, _)| key.clone()).collect();
        self.events.extend(later.events);
        self.new_events.extend(later.new_events);
        self.otel.extend(later.otel.into_iter().filter(|(key, _)| !known.contains(key)));
        self.exporter = later.exporter.or(self.exporter);
        self.created_otel |= later.created_otel;
        self.created_hooks |= later.created_hooks;
        self.ended_line |= later.ended_line;
        self
    }
}

/// A file with our part in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edited {
    /// Its text.
    pub text: String,
    /// What was put in.
    pub added: Added,
    /// Where an exporter sends to that somebody else has set, and that was left as it is.
    pub kept_exporter: Option<String>,
}

/// Puts our part in, as far as it is not there. Twice is once.
///
/// # Errors
/// The file is not TOML, or has its hooks or its exporter in a form that cannot be added to.
pub fn add(text: &str, wanted: &AddToml) -> Result<Edited, Refused> {
    let doc = parse(text)?;
    let root = doc.as_table();
    let mut splices = Splices::default();
    let mut block = String::new();
    let hooks = table(root, "hooks")?;
    let mut edited = Edited::default();
    edited.added.without_state = hooks.is_none_or(|hooks| !hooks.contains_key("state"));
    if let Some(command) = &wanted.command {
        let missing = |event: &str| !hooks.is_some_and(|hooks| has_ours(hooks, event));
        let missing: Vec<_> = EVENTS.iter().filter(|(event, _)| missing(event)).collect();
        let without_dir = hooks.is_none_or(|hooks| !hooks.contains_key("managed_dir"));
        if let Some(dir) = wanted.managed_dir.as_ref().filter(|_| without_dir && !missing.is_empty()) {
            block += &format!("\n[hooks]\nmanaged_dir = {}\n", quoted(dir));
            edited.added.created_hooks = true;
        }
        block.extend(missing.iter().map(|(event, timeout)| group(event, command, *timeout)));
        edited.added.events = missing.iter().map(|(event, _)| (*event).to_string()).collect();
    }
    if let Some(otel) = &wanted.exporter {
        block += &add_otel(text, root, otel, wanted.replaces.as_deref(), &mut splices, &mut edited)?;
    }
    let mut new = splices.apply(text);
    if !block.is_empty() {
        edited.added.ended_line |= !text.is_empty() && !text.ends_with('\n');
        append(&mut new, &format!("\n{REMARK}{block}"));
    }
    // `[[hooks.X]]` cannot follow `hooks.y = 1`, and so on: TOML itself is asked.
    parse(&new)
        .map_err(|Refused(why)| Refused(format!("hooks or otel are in a form that cannot be added to ({why})")))?;
    edited.text = new;
    Ok(edited)
}

/// Appends a block that begins with an empty line, in the line ends of the text.
fn append(text: &mut String, block: &str) {
    let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if text.is_empty() {
        text.push_str(block.trim_start_matches('\n'));
        return;
    }
    if !text.ends_with('\n') {
        text.push_str(eol);
    }
    text.push_str(&block.replace('\n', eol));
}

/// Whether the file has hooks of its own in the form that is added to.
pub fn uses_inline_hooks(text: &str) -> bool {
    let Ok(doc) = parse(text) else { return false };
    let hooks = doc.as_table().get("hooks").and_then(Item::as_table_like);
    hooks.is_some_and(|hooks| hooks.iter().any(|(key, _)| key != "state"))
}

pub(super) fn parse(text: &str) -> Result<Document<&str>, Refused> {
    Document::parse(text).map_err(|e| Refused(format!("it is not TOML: {}", e.to_string().trim().replace('\n', " "))))
}

fn table<'a>(root: &'a Table, key: &str) -> Result<Option<&'a Table>, Refused> {
    match root.get(key) {
        None => Ok(None),
        Some(Item::Table(table)) if !table.is_dotted() => Ok(Some(table)),
        Some(_) => Err(Refused(format!("`{key}` is not written as a table of its own"))),
    }
}

fn group(event: &str, command: &str, timeout: u32) -> String {
    let command = quoted(command);
    format!(
        "\n[[hooks.{event}]]\n[[hooks.{event}.hooks]]\ntype = \"command\"\ncommand = {command}\ntimeout = {timeout}\n"
    )
}

/// Whether an event has a handler that runs our hook, by whatever path: twice would count once, but cost twice.
fn has_ours(hooks: &Table, event: &str) -> bool {
    hooks.get(event).is_some_and(|item| handlers(item).into_iter().any(super::is_ours))
}

/// The commands of an event's handlers.
pub(super) fn handlers(event: &Item) -> Vec<&str> {
    let groups = tables(Some(event)).into_iter();
    let handlers = groups.flat_map(|group| tables(group.get("hooks")));
    handlers.filter_map(|handler| handler.get("command").and_then(Item::as_str)).collect()
}

/// The tables of an array, in both ways to write one.
fn tables(item: Option<&Item>) -> Vec<&dyn TableLike> {
    match item {
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|t| t as &dyn TableLike).collect(),
        Some(Item::Value(toml_edit::Value::Array(array))) => {
            array.iter().filter_map(|v| v.as_inline_table()).map(|t| t as &dyn TableLike).collect()
        }
        _ => Vec::new(),
    }
}

/// The lines of a new `[otel]`; or those that go into the one that is there, which become splices.
fn add_otel(
    text: &str,
    root: &Table,
    otel: &Otel,
    replaces: Option<&str>,
    splices: &mut Splices,
    edited: &mut Edited,
) -> Result<String, Refused> {
    const TRACES: &str = "trace_exporter";
    let (value, added) = (otel.value(), &mut edited.added);
    let there = table(root, "otel")?;
    if let Some(item) = there.filter(|there| there.is_implicit()).and_then(|there| there.get("exporter")) {
        edited.kept_exporter = Some(endpoint(item).unwrap_or_default());
        return Ok(String::new());
    }
    let Some(explicit) = there.filter(|there| !there.is_implicit()) else {
        added.otel = vec![("exporter".to_string(), None)];
        added.exporter = Some(value.clone());
        added.created_otel = true;
        // `[otel.trace_exporter.otlp-http]` may be there alone.
        if there.is_some_and(|there| there.contains_key(TRACES)) {
            return Ok(format!("\n[otel]\nexporter = {value}\n"));
        }
        added.otel.push((TRACES.to_string(), None));
        return Ok(format!("\n[otel]\nexporter = {value}\n{TRACES} = \"none\"\n"));
    };
    let there = explicit;
    let header = there.span().ok_or_else(|| Refused("`otel` has no place".to_string()))?;
    let eol = if text[header.end..].starts_with("\r\n") { "\r\n" } else { "\n" };
    let mut lines = String::new();
    match there.get("exporter").and_then(|item| Some((item.span()?, item))) {
        None => {
            lines += &format!("exporter = {value}{eol}");
            added.otel.push(("exporter".to_string(), None));
        }
        Some((span, _)) if text[span.clone()] == value => return Ok(String::new()),
        Some((span, item)) => {
            let before = &text[span.clone()];
            let ours = replaces == Some(before);
            // One that goes to our sink, but with another token, is brought up to date.
            let to_us = item.is_value() && endpoint(item).as_ref() == Some(&otel.endpoint);
            if !ours && !to_us && item.as_str() != Some("none") {
                edited.kept_exporter = Some(endpoint(item).unwrap_or_else(|| before.to_string()));
                return Ok(String::new());
            }
            added.otel.push(("exporter".to_string(), (!ours).then(|| before.to_string())));
            splices.replace(span, value.clone());
        }
    }
    if !there.contains_key(TRACES) {
        // They are off by default, and large copies of the same numbers.
        lines += &format!("{TRACES} = \"none\"{eol}");
        added.otel.push((TRACES.to_string(), None));
    }
    if !lines.is_empty() {
        let at = text[header.end..].find('\n').map_or(text.len(), |at| header.end + at + 1);
        added.ended_line = !text[..at].ends_with('\n');
        let lines = if added.ended_line { format!("{eol}{lines}") } else { lines };
        splices.replace(at..at, lines);
    }
    added.exporter = Some(value);
    Ok(String::new())
}

/// Where an exporter sends to, in whatever form it is written.
fn endpoint(exporter: &Item) -> Option<String> {
    let (_, transport) = exporter.as_table_like()?.iter().next()?;
    transport.as_table_like()?.get("endpoint")?.as_str().map(str::to_string)
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
