//! Our part taken out of the file again: found by what it says, wherever Codex has moved it.

use super::{Added, REMARK, parse, quoted};
use crate::setup::splice::Splices;
use crate::setup::{Moved, Refused};
use std::ops::Range;
use toml_edit::{Item, Table};

/// Takes our part out again: the handlers (event and command) that are ours, their trust, and what `[otel]` was given. `own` and
/// `others` are the files whose hooks are ours, as keys of trusted hooks name them, with what went from the others.
///
/// # Errors
/// The file is not TOML.
pub fn remove(
    text: &str,
    ours: &dyn Fn(&str, &str) -> bool,
    added: &Added,
    others: &[(String, Moved)],
    own: &[String],
) -> Result<String, Refused> {
    let doc = parse(text)?;
    let root = doc.as_table();
    let mut splices = Splices::default();
    let mut moved = Moved::default();
    if let Some(hooks) = root.get("hooks").and_then(Item::as_table) {
        cut_hooks(text, hooks, ours, added, &mut splices, &mut moved);
        let own = own.iter().map(|source| (source.as_str(), &moved));
        let sources: Vec<(&str, &Moved)> = own.chain(others.iter().map(|(s, m)| (s.as_str(), m))).collect();
        if let Some(state) = hooks.get("state").and_then(Item::as_table) {
            cut_trust(text, state, &sources, added.without_state, &mut splices);
        }
    }
    if let Some(otel) = root.get("otel").and_then(Item::as_table) {
        cut_otel(text, otel, added, &mut splices);
    }
    if splices.is_empty() {
        return Ok(text.to_string());
    }
    let last = splices.reaches(text.len());
    let mut new = splices.apply(text);
    if added.ended_line && last && new.ends_with('\n') {
        new.pop();
        if new.ends_with('\r') {
            new.pop();
        }
    }
    Ok(new)
}

/// The bytes of a table: from its head to the end of its last value.
fn extent(table: &Table) -> Option<Range<usize>> {
    let head = table.span()?;
    let last = table.iter().filter_map(|(_, item)| item.as_value()?.span()).map(|span| span.end).max();
    Some(head.start..last.unwrap_or(head.end).max(head.end))
}

/// Whether our remark stands above a table.
pub fn is_remarked(text: &str, table: &Table) -> bool {
    let above = extent(table).map_or("", |extent| &text[..extent.start]);
    above.trim_end().lines().next_back() == Some(REMARK)
}

/// Takes a table out, with our remark and one empty line above it.
pub fn cut_table(text: &str, table: &Table, splices: &mut Splices) {
    let Some(extent) = extent(table) else { return };
    let mut start = text[..extent.start].rfind('\n').map_or(0, |at| at + 1);
    let line_before = |start: usize| {
        let above = text[..start].strip_suffix('\n')?;
        let begin = above.rfind('\n').map_or(0, |at| at + 1);
        Some((begin, above[begin..].trim_end_matches('\r')))
    };
    if let Some((begin, REMARK)) = line_before(start) {
        start = begin;
    }
    if let Some((begin, "")) = line_before(start) {
        start = begin;
    }
    splices.cut_lines(text, start..extent.end);
}

fn cut_hooks(
    text: &str,
    hooks: &Table,
    is_ours: &dyn Fn(&str, &str) -> bool,
    added: &Added,
    splices: &mut Splices,
    moved: &mut Moved,
) {
    for (event, item) in hooks.iter() {
        let Some(groups) = item.as_array_of_tables() else { continue };
        for (g, group) in groups.iter().enumerate() {
            let Some(handlers) = group.get("hooks").and_then(Item::as_array_of_tables) else { continue };
            let ours = |handler: &Table| {
                handler.get("command").and_then(Item::as_str).is_some_and(|command| is_ours(event, command))
            };
            let gone: Vec<usize> = (0..handlers.len()).filter(|h| handlers.get(*h).is_some_and(ours)).collect();
            if gone.is_empty() {
                continue;
            }
            for h in &gone {
                moved.handler(event, g, *h);
                handlers.get(*h).into_iter().for_each(|handler| cut_table(text, handler, splices));
            }
            if gone.len() == handlers.len() {
                moved.group(event, g);
                cut_table(text, group, splices);
            }
        }
    }
    let only_dir = hooks.iter().all(|(key, item)| !item.is_value() || key == "managed_dir");
    if added.created_hooks && only_dir {
        cut_table(text, hooks, splices);
    }
}

/// Takes out the trust in what went, and lets that in other hooks follow them.
fn cut_trust(text: &str, state: &Table, sources: &[(&str, &Moved)], ours: bool, splices: &mut Splices) {
    let mut left = 0;
    for (key, item) in state.iter() {
        let place = sources.iter().find_map(|(source, moved)| {
            let mut parts = key.strip_prefix(source)?.strip_prefix(':')?.split(':');
            let (event, group, handler) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((moved.place(event, group, handler), format!("{source}:{event}"), (group, handler)))
        });
        match place {
            Some((None, ..)) => item.as_table().into_iter().for_each(|table| cut_table(text, table, splices)),
            Some((Some(now), name, before)) if now != before => {
                left += 1;
                let span = state.key(key).and_then(toml_edit::Key::span);
                let renamed = quoted(&format!("{name}:{}:{}", now.0, now.1));
                span.into_iter().for_each(|span| splices.replace(span, renamed.clone()));
            }
            _ => left += 1,
        }
    }
    if left == 0 && ours && !state.is_implicit() {
        cut_table(text, state, splices);
    }
}

fn cut_otel(text: &str, otel: &Table, added: &Added, splices: &mut Splices) {
    let (mut gone, mut remarked) = (0, false);
    for (key, before) in &added.otel {
        let Some((item, span)) = otel.get(key).and_then(|item| Some((item, item.span()?))) else { continue };
        let now = &text[span.clone()];
        let ours =
            if key == "exporter" { added.exporter.as_deref() == Some(now) } else { item.as_str() == Some("none") };
        let key_start = otel.key(key).and_then(toml_edit::Key::span).map_or(span.start, |key| key.start);
        match before {
            _ if !ours => {}
            Some(before) => splices.replace(span, before.clone()),
            // With a remark of the user's the line is one that the user wants; of one that holds the token the remark stays.
            None if remark(text, span.end) => {
                remarked = true;
                if key == "exporter" {
                    let space = text[span.end..].find('#').unwrap_or_default();
                    splices.replace(key_start..span.end + space, String::new());
                }
            }
            None => {
                splices.cut_lines(text, key_start..span.end);
                gone += 1;
            }
        }
    }
    let values = otel.iter().filter(|(_, item)| item.is_value()).count();
    if gone == values && added.created_otel && !remarked {
        cut_table(text, otel, splices);
    }
}

/// Whether a remark follows on the line.
fn remark(text: &str, at: usize) -> bool {
    text[at..].trim_start_matches([' ', '\t']).starts_with('#')
}
