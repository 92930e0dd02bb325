//! What `init` tells besides what it changes.

use std::path::{Path, PathBuf};

/// Codex sends to a sink of ours that nobody has any more.
pub(super) fn orphan(config: &Path) -> String {
    format!(
        "the exporter in {} had the token of a home that is gone, or that is not known here; it gets the token of this one",
        config.display()
    )
}

/// Codex sends to somebody else.
pub(super) fn kept_exporter(endpoint: &str) -> String {
    format!(
        "Codex's logs go to {endpoint} already, and it has one exporter for them, so that stays. Hooks and transcripts are \
         recorded; ephemeral sessions, title requests and failed tools are not, unless that collector sends logs on to the sink; or the sink has them first and sends them on: \
         `codex-tally serve --forward URL`, docs/service.md"
    )
}

/// Profiles that send their logs elsewhere.
pub(super) fn profiles(codex_home: &Path, edited: &Path) -> Vec<String> {
    let files = std::fs::read_dir(codex_home).into_iter().flatten().flatten().map(|entry| entry.path());
    let profile = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".config.toml")?.to_string();
        let table: toml::Table = std::fs::read_to_string(&path).ok()?.parse().ok()?;
        let exporter = table.get("otel")?.get("exporter")?.to_string();
        (path != edited && !exporter.contains("/v1/logs\"")).then_some(name)
    };
    let note = |name| {
        format!("the profile {name} has an exporter of its own; `codex-tally init --profile {name}` looks at it")
    };
    let mut notes: Vec<String> = files.filter_map(profile).map(note).collect();
    notes.sort();
    notes
}
