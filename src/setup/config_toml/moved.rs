//! A program that moved: the commands that call it, where no trust hangs on them.

use super::{parse, quoted};
use crate::setup::splice::Splices;
use crate::setup::{Refused, is_ours, words};
use toml_edit::{Item, Table, TableLike};

/// The file with this command in the place of those that run our hook and nothing else (`recorded` may say more), and with this
/// folder as `managed_dir` if it named that of the old program.
///
/// # Errors
/// The file is not TOML.
pub fn with_command(text: &str, command: &str, dir: &str, recorded: Option<&str>) -> Result<String, Refused> {
    let doc = parse(text)?;
    let mut splices = Splices::default();
    let Some(hooks) = doc.as_table().get("hooks").and_then(Item::as_table) else { return Ok(text.to_string()) };
    let is_plain = |old: &str| words(old).len() == 1 && is_ours(old);
    let mut folders = Vec::new();
    for (old, item) in hooks.iter().flat_map(|(_, event)| commands(event)) {
        if old == command || !(recorded == Some(old) || is_plain(old)) {
            continue;
        }
        folders.extend(words(old).first().and_then(|program| Some(program.rsplit_once('/')?.0.to_string())));
        item.span().into_iter().for_each(|span| splices.replace(span, quoted(command)));
    }
    let managed =
        hooks.get("managed_dir").filter(|item| item.as_str().is_some_and(|dir| folders.iter().any(|f| f == dir)));
    managed.and_then(Item::span).into_iter().for_each(|span| splices.replace(span, quoted(dir)));
    Ok(splices.apply(text))
}

fn commands(event: &Item) -> Vec<(&str, &Item)> {
    let groups = event.as_array_of_tables().into_iter().flat_map(|groups| groups.iter());
    let handlers = groups.filter_map(|group: &Table| group.get("hooks")?.as_array_of_tables());
    let commands =
        handlers.flat_map(|handlers| handlers.iter()).filter_map(|handler| TableLike::get(handler, "command"));
    commands.filter_map(|item| Some((item.as_str()?, item))).collect()
}
