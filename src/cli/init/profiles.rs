//! Hooks of profiles, which those of `config.toml` make superfluous: that file applies to every profile as well.

use super::super::edits::{self, Change};
use super::super::unregister::names;
use super::super::whose::Registrations;
use super::Plan;
use crate::setup::{self, Added};

/// Takes the hooks out of the files of profiles, where Codex would run them twice.
pub(super) fn without_hooks(there: &Registrations, plan: &mut Plan) -> anyhow::Result<()> {
    for (path, found) in there {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_suffix(".config.toml").filter(|_| !found.handlers.is_empty()) else { continue };
        let Some(old) = edits::read(path)? else { continue };
        let mut recorded = plan.record.files.iter_mut().find(|file| file.path == *path);
        let ended_line = recorded.as_ref().is_some_and(|file| file.added.ended_line);
        let added = Added { ended_line, without_state: true, ..Added::default() };
        let new = setup::remove_toml(&old, &|_, command| setup::is_ours(command), &added, &[], &names(path))
            .map_err(|why| anyhow::anyhow!("{} is left as it is: {why}", path.display()))?;
        if let Some(file) = &mut recorded {
            file.added.events.clear();
            file.added.new_events.clear();
        }
        let created = recorded.is_none_or(|file| file.created);
        let new = (!(created && new.trim().is_empty())).then_some(new);
        plan.notes
            .push(format!("the hooks of the profile {name} go, since those of config.toml are run for it as well"));
        let mode = edits::mode_of(path).unwrap_or(0o600);
        plan.changes.push(Change { path: path.clone(), old: Some(old), new, mode });
    }
    Ok(())
}
