//! Our part of Codex's `hooks.json`, for those whose hooks are there: Codex warns if both forms are used.

use super::splice::Splices;
use super::{Added, EVENTS, Moved, Refused, is_ours};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::ops::Range;

/// An object's members in their order, as the text has them.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        from.deserialize_map(Reader).map(Members)
    }
}

/// Registers the hook, as far as it is not. Returns the text and what was put in.
///
/// # Errors
/// The file is not of the form that Codex reads.
pub fn add(text: &str, command: &str) -> Result<(String, Added), Refused> {
    let hooks_raw = hooks(text)?;
    let events = members(hooks_raw)?;
    let mut splices = Splices::default();
    let mut added = Added { without_state: true, ..Added::default() };
    let mut new = String::new();
    for (event, timeout) in EVENTS {
        let handler = serde_json::json!({"type": "command", "command": command, "timeout": timeout});
        let group = format!("{{\"hooks\": [{handler}]}}");
        let there = events.iter().find(|(name, _)| name == event);
        let Some((_, groups_raw)) = there else {
            let comma = if events.is_empty() && new.is_empty() { "" } else { "," };
            new += &format!("{comma}\n    \"{event}\": [{group}]");
            added.events.push(event.to_string());
            added.new_events.push(event.to_string());
            continue;
        };
        let groups = elements(groups_raw)?;
        if groups.iter().any(|group| handlers(group).is_ok_and(|hs| hs.iter().any(|h| runs(h, is_ours)))) {
            continue;
        }
        added.events.push(event.to_string());
        match groups.last() {
            Some(last) => splices.replace(after(text, last), format!(",\n      {group}")),
            None => splices.replace(inside(text, groups_raw), group),
        }
    }
    if !new.is_empty() {
        match events.last() {
            Some((_, last)) => splices.replace(after(text, last), new),
            None => splices.replace(inside(text, hooks_raw), new),
        }
    }
    let new = splices.apply(text);
    hooks(&new)?;
    Ok((new, added))
}

/// Takes our registrations out again. Returns the text and what went from where.
///
/// # Errors
/// The file is not of the form that Codex reads, or is in one from which ours cannot be taken.
pub fn remove(text: &str, is_ours: &dyn Fn(&str, &str) -> bool, added: &Added) -> Result<(String, Moved), Refused> {
    let hooks_raw = hooks(text)?;
    let events = members(hooks_raw)?;
    let all: Vec<&RawValue> = events.iter().map(|(_, raw)| *raw).collect();
    let mut splices = Splices::default();
    let mut moved = Moved::default();
    let mut whole = Vec::new();
    for (e, (event, groups_raw)) in events.iter().enumerate() {
        // What is in another form is not ours.
        let Ok(groups) = elements(groups_raw) else { continue };
        let mut gone = Vec::new();
        for (g, group) in groups.iter().enumerate() {
            let list = handlers(group).unwrap_or_default();
            let ours: Vec<usize> =
                (0..list.len()).filter(|h| runs(list[*h], |command| is_ours(event, command))).collect();
            ours.iter().for_each(|h| moved.handler(event, g, *h));
            if ours.is_empty() {
            } else if ours.len() == list.len() {
                moved.group(event, g);
                gone.push(g);
            } else {
                ours.iter().for_each(|h| splices.replace(element(text, &list, *h), String::new()));
            }
        }
        if gone.len() == groups.len() && !gone.is_empty() && added.new_events.contains(event) {
            whole.push(e);
        } else {
            gone.iter().for_each(|g| splices.replace(element(text, &groups, *g), String::new()));
        }
    }
    // With the name before it: from the end of the member before.
    for e in whole {
        let start = if e == 0 { inside(text, hooks_raw).start } else { after(text, all[e - 1]).start };
        splices.replace(start..after(text, all[e]).start, String::new());
    }
    let new = splices.apply(text);
    match hooks(&new) {
        Ok(_) => Ok((new, moved)),
        Err(_) => Err(Refused("what was added cannot be told from the rest any more".to_string())),
    }
}

/// The handlers of the file: event and command.
///
/// # Errors
/// The file is not of the form that Codex reads.
pub(super) fn commands(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut commands = Vec::new();
    for (event, groups) in members(hooks(text)?)? {
        for group in elements(groups).unwrap_or_default() {
            let values = handlers(group)
                .unwrap_or_default()
                .into_iter()
                .map(|raw| serde_json::from_str(raw.get()).unwrap_or_default());
            let values = values.filter_map(|value: serde_json::Value| Some(value["command"].as_str()?.to_string()));
            commands.extend(values.map(|command| (event.clone(), command)));
        }
    }
    Ok(commands)
}

fn hooks(text: &str) -> Result<&RawValue, Refused> {
    let root: Members = serde_json::from_str(text).map_err(|e| Refused(format!("it is not a JSON object: {e}")))?;
    let hooks = root.0.into_iter().find(|(name, _)| name == "hooks").map(|(_, raw)| raw);
    let hooks = hooks.ok_or_else(|| Refused("it has no `hooks`".to_string()))?;
    members(hooks).map(|_| hooks)
}

fn members(raw: &RawValue) -> Result<Vec<(String, &RawValue)>, Refused> {
    let read: Result<Members, _> = serde_json::from_str(raw.get());
    read.map(|m| m.0).map_err(|_| Refused("`hooks` is not an object".to_string()))
}

fn elements(raw: &RawValue) -> Result<Vec<&RawValue>, Refused> {
    serde_json::from_str(raw.get()).map_err(|_| Refused("an event of `hooks` is not an array".to_string()))
}

fn handlers(group: &RawValue) -> Result<Vec<&RawValue>, Refused> {
    let list = members(group)?.into_iter().find(|(name, _)| name == "hooks");
    list.map_or(Ok(Vec::new()), |(_, raw)| elements(raw))
}

fn runs(handler: &RawValue, is: impl Fn(&str) -> bool) -> bool {
    let value: serde_json::Value = serde_json::from_str(handler.get()).unwrap_or_default();
    value["command"].as_str().is_some_and(is)
}

/// Where a value that was read from this text begins in it.
fn start(text: &str, raw: &RawValue) -> usize {
    raw.get().as_ptr() as usize - text.as_ptr() as usize
}

/// The place behind a value.
fn after(text: &str, raw: &RawValue) -> Range<usize> {
    let end = start(text, raw) + raw.get().len();
    end..end
}

/// The place behind the bracket that opens a value.
fn inside(text: &str, raw: &RawValue) -> Range<usize> {
    let at = start(text, raw) + 1;
    at..at
}

/// An element of a list with the comma that goes with it.
fn element(text: &str, list: &[&RawValue], at: usize) -> Range<usize> {
    let end = after(text, list[at]).start;
    match (at.checked_sub(1).and_then(|before| list.get(before)), list.get(at + 1)) {
        (Some(before), _) => after(text, before).start..end,
        (None, Some(next)) => start(text, list[at])..start(text, next),
        (None, None) => {
            // From behind the bracket that opens the list.
            let open = text[..start(text, list[at])].rfind('[').map_or(end, |open| open + 1);
            open..end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &str = "/usr/bin/codex-tally-hook";

    fn round_trip(text: &str) -> String {
        let (with, added) = add(text, COMMAND).unwrap();
        let value: serde_json::Value = serde_json::from_str(&with).unwrap();
        for (event, _) in EVENTS {
            let groups = value["hooks"][event].as_array().unwrap();
            assert_eq!(groups.last().unwrap()["hooks"][0]["command"], COMMAND, "{event} in {with}");
        }
        assert_eq!(add(&with, COMMAND).unwrap().0, with, "twice is once");
        assert_eq!(remove(&with, &|_, command| command == COMMAND, &added).unwrap().0, text);
        with
    }

    #[test]
    fn other_hooks_keep_their_bytes_and_places() {
        let own = "{\n  \"hooks\": {\n    \"Stop\": [ {\"hooks\":[{\"type\":\"command\",\"command\":\"say done\"}]} ],\n    \"PreToolUse\": []\n  }\n}\n";
        let with = round_trip(own);
        let value: serde_json::Value = serde_json::from_str(&with).unwrap();
        assert_eq!(value["hooks"]["Stop"][0]["hooks"][0]["command"], "say done");
        for text in ["{\"hooks\":{}}", "{ \"x\": 1, \"hooks\" : { \"Stop\" : [ ] } }"] {
            round_trip(text);
        }
    }

    #[test]
    fn later_groups_move_up() {
        let (with, added) = add("{\"hooks\":{\"Stop\":[{\"hooks\":[{\"command\":\"a\"}]}]}}", COMMAND).unwrap();
        let ours = with.find(",\n      {\"hooks\"").unwrap();
        let end = with[ours..].find("]}").unwrap() + ours + 2;
        let more = format!("{},{{\"hooks\":[{{\"command\":\"b\"}}]}}{}", &with[..end], &with[end..]);
        let (without, moved) = remove(&more, &|_, command| command == COMMAND, &added).unwrap();
        assert_eq!(
            without,
            "{\"hooks\":{\"Stop\":[{\"hooks\":[{\"command\":\"a\"}]},{\"hooks\":[{\"command\":\"b\"}]}]}}"
        );
        assert_eq!((moved.place("stop", 1, 0), moved.place("stop", 2, 0)), (None, Some((1, 0))));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "[]", "{}", "{\"hooks\": []}", "{\"hooks\": {\"Stop\": {}}}"] {
            assert!(add(text, COMMAND).is_err(), "{text}");
        }
    }
}
