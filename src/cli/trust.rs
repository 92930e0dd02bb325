//! The user's consent, noted by Codex itself.

use super::context::Context;
use super::out;
use crate::setup::codex::{Codex, Hook, without_user_hooks};
use crate::setup::{find_in_path, is_ours};
use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The Codex program: as asked for, else in PATH.
pub(super) fn codex(context: &Context, asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    let search = context.env.path("PATH").map(PathBuf::into_os_string);
    let found = asked.map(Path::to_path_buf).or_else(|| find_in_path(OsStr::new("codex"), search.as_deref()));
    found.context("`codex` is not in PATH; name it with --codex PROGRAM")
}

/// Notes trust in the user's hooks that run this command, and in no other.
pub(super) fn trust(context: &Context, asked: Option<&Path>, codex_home: &Path, command: &str) -> anyhow::Result<()> {
    let program = codex(context, asked)?;
    let mut codex = Codex::start(&program, codex_home)?;
    let ours = |hook: &&Hook| hook.command == command && hook.source == "user";
    let before = codex.hooks(codex_home)?;
    let missing: Vec<Hook> = before.hooks.iter().filter(ours).filter(|hook| !hook.runs()).cloned().collect();
    if missing.is_empty() {
        let others = || before.hooks.iter().filter(|hook| is_ours(&hook.command) && !ours(hook));
        let runs = |event: &str| {
            before.hooks.iter().any(|hook| is_ours(&hook.command) && hook.event_name == event && hook.runs())
        };
        if let Some(other) = others().find(|hook| !runs(&hook.event_name)) {
            let (command, file) = (&other.command, other.source_path.display());
            bail!(
                "the hook is registered as `{command}` in {file}, not by init; trust it in `codex` (/hooks), or take it out"
            );
        }
        if !before.hooks.iter().any(|hook| ours(&hook)) && others().next().is_none() {
            if codex.config(codex_home)?["config"]["features"]["hooks"] == serde_json::Value::Bool(false) {
                bail!(
                    "hooks are switched off: set `hooks = true` in `[features]` of Codex's config.toml, then try again"
                );
            }
            if let Some((why, next)) = without_user_hooks(&codex.requirements()) {
                bail!("{why}: {next}");
            }
            bail!("Codex {} does not list the hooks; is it older than 0.129?", codex.version());
        }
        out::talk("the hooks are trusted already");
        return Ok(());
    }
    for hook in &missing {
        out::talk(&format!("trusted: {} runs {} ({})", hook.event_name, hook.command, hook.current_hash));
    }
    let after = codex.trust(&missing, codex_home)?;
    let left: Vec<_> = after.hooks.iter().filter(ours).filter(|h| !h.runs()).map(|h| h.event_name.as_str()).collect();
    if !left.is_empty() {
        bail!("Codex still does not run the hooks of {}; look at /hooks in `codex`", left.join(", "));
    }
    out::talk(&format!("Codex {} runs all {} hooks", codex.version(), after.hooks.iter().filter(ours).count()));
    Ok(())
}
