//! What `init` tells besides what it changes.

use crate::setup::AddToml;
use std::path::{Path, PathBuf};

/// Codex sends to a sink of ours that nobody has any more.
pub(super) fn orphan(config: &Path) -> String {
    format!(
        "the exporter in {} had the token of a home that is gone, or that is not known here; it gets the token of this one",
        config.display()
    )
}

/// Whether Codex runs hooks at all.
pub(super) fn runs_hooks(codex_home: &Path) -> bool {
    let text = std::fs::read_to_string(codex_home.join("config.toml")).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let hooks = table.get("features").and_then(|features| features.get("hooks"));
    hooks.and_then(toml::Value::as_bool) != Some(false)
}

/// Why the hooks may not run.
pub(super) fn hooks(codex_home: &Path, asked: Option<&Path>) -> Vec<String> {
    let mut notes = Vec::new();
    if !runs_hooks(codex_home) {
        notes.push(
            "hooks are switched off: Codex runs none until `[features]` of its config.toml says `hooks = true`"
                .to_string(),
        );
    }
    if let Some(missing) = asked.filter(|hook| !hook.is_file()) {
        notes.push(format!("{} is not there: Codex has nothing to run until it is", missing.display()));
    }
    notes
}

/// The token goes into a file that others may get to see.
pub(super) fn leads_elsewhere(path: &Path) -> Option<String> {
    let folder = std::fs::canonicalize(path.parent()?).ok()?;
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| folder.join(path.file_name().unwrap_or_default()));
    let versioned = real.ancestors().skip(1).any(|folder| folder.join(".git").exists());
    let what = match (real.parent() != Some(&folder), versioned) {
        (false, false) => return None,
        (true, false) => format!("is a link to {}", real.display()),
        (true, true) => format!("is a link to {}, in a git work tree", real.display()),
        (false, true) => "is in a git work tree".to_string(),
    };
    Some(format!(
        "{} {what}: the sink's token is written there; keep that file from others (a repository, a folder that is shared)",
        path.display()
    ))
}

/// Which name the sink's certificate has, and which authority signed it, is not known here.
pub(super) const ENCRYPTED: &str =
    "the sink of this home speaks TLS, so Codex's exporter stays as it is; docs/service.md has its lines";

/// Codex sends to somebody else, or to our sink in words that are not edited.
pub(super) fn kept_exporter(endpoint: &str, wanted: &AddToml, text: &str, token: &Path) -> Option<String> {
    let ours = wanted.exporter.as_ref().filter(|ours| ours.endpoint == endpoint);
    let sends_token = ours.is_some_and(|ours| ours.headers.iter().all(|(_, value)| text.contains(value)));
    match ours {
        Some(_) if sends_token => None,
        Some(_) => Some(format!(
            "Codex's logs go to the sink already, in a form that is not edited, and without its token, so the sink refuses them. Write the \
             header yourself: `authorization`, with `Bearer ` and what {} holds",
            token.display()
        )),
        None => Some(format!(
            "Codex's logs go to {endpoint} already, and it has one exporter for them, so that stays. Hooks and transcripts are \
             recorded; ephemeral sessions, title requests and failed tools are not, unless that collector sends logs on to the sink; or the sink has them first and sends them on: \
             `codex-tally serve --forward URL`, docs/service.md"
        )),
    }
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
