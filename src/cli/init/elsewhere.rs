//! Where the hook is registered already without `init`: by a plugin, or in the managed layer. A second one would only cost twice.

use super::super::edits;
use crate::setup::{Found, REQUIREMENTS, plugin};
use std::path::Path;

/// Files of the managed layer, and whether the user's own exporter is without effect beside theirs.
const MANAGED: [(&str, bool); 3] =
    [(REQUIREMENTS, true), ("etc/codex/managed_config.toml", true), ("etc/codex/config.toml", false)];

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// The hooks are there.
    pub hooks: bool,
    /// No other exporter would be used.
    pub exporter: bool,
    /// What to tell of it.
    pub notes: Vec<String>,
}

impl Elsewhere {
    /// Looks into Codex's configuration and the managed layer.
    pub fn look(codex_home: &Path) -> Self {
        let mut there = Elsewhere::default();
        for (name, demanded) in MANAGED {
            let path = Path::new("/").join(name);
            // What cannot be read says nothing.
            if let Ok(Some(text)) = edits::read(&path) {
                there.managed(&path, &text, demanded);
            }
        }
        let config = edits::read(&codex_home.join("config.toml")).ok().flatten().unwrap_or_default();
        if let Some(id) = plugin(&config) {
            there.notes.push(format!(
                "the plugin {id} has the hooks, so they are not registered once more; trust them in `codex` (/hooks). To have them from \
                 here instead: `codex plugin remove {id}`, then this again"
            ));
            there.hooks = true;
        }
        there
    }

    fn managed(&mut self, path: &Path, text: &str, demanded: bool) {
        let file = path.display();
        if !Found::of(path, text).handlers.is_empty() {
            self.hooks = true;
            self.notes
                .push(format!("{file} has the hooks for all users, trusted, so they are not registered once more"));
        }
        let table: toml::Table = text.parse().unwrap_or_default();
        let says = |table: &toml::Table, key: &str| table.get(key).and_then(toml::Value::as_bool);
        let features = table.get("features").and_then(toml::Value::as_table);
        let off = features.is_some_and(|features| says(features, "hooks") == Some(false));
        if demanded && !self.hooks && (off || says(&table, "allow_managed_hooks_only") == Some(true)) {
            self.hooks = true;
            self.notes.push(format!(
                "{file} lets no hook of a user run, so none is registered; who may write it decides on that, and adds ours with \
                 `codex-tally init --system`"
            ));
        }
        if demanded && table.get("otel").is_some_and(|otel| otel.get("exporter").is_some()) {
            self.exporter = true;
            self.notes.push(format!(
                "{file} has the exporter for all users, and none of a user would be used. If it has no token, the sink is \
                 `codex-tally serve --auth none` (`codex-tally service install --auth none`)"
            ));
        }
    }
}
