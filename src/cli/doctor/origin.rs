//! Where hooks and exporter come from, and so who can change them: the user's own files, a plugin, or the managed layer.

use crate::setup::REQUIREMENTS;
use crate::setup::codex::{Hook, without_user_hooks};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Who has put a hook into Codex's configuration; the weakest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The user, or a project.
    Own,
    /// A plugin, by its id.
    Plugin(String),
    /// The managed layer, as its file or itself is called.
    Managed(String),
}

/// What nobody on this machine can override.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// As Codex says it.
    requirements: Value,
}

/// The file of requirements that can be read here; they may come from elsewhere.
fn file() -> Option<PathBuf> {
    Some(Path::new("/").join(REQUIREMENTS)).filter(|path| path.exists())
}

/// What the managed layer is called where no file of it is known.
fn named(file: Option<PathBuf>) -> String {
    file.map_or_else(|| "the managed configuration".to_string(), |file| file.display().to_string())
}

impl Managed {
    pub fn new(requirements: Value) -> Self {
        Managed { requirements }
    }

    /// Why hooks of users do not run, and what to do; nothing if they may.
    pub fn without_user_hooks(&self) -> Option<(&'static str, &'static str)> {
        without_user_hooks(&self.requirements)
    }

    /// Who demands the exporter, with the file if it can be read; nothing if the user can set another.
    pub fn exporter(&self, origin: &Value) -> Option<(String, Option<PathBuf>)> {
        if !self.requirements["otel"]["exporter"].is_null() {
            return Some((named(file()), file()));
        }
        let kind = origin["name"]["type"].as_str()?;
        if !(kind.starts_with("legacyManaged") || ["mdm", "enterpriseManaged"].contains(&kind)) {
            return None;
        }
        let file = origin["name"]["file"].as_str().map(PathBuf::from);
        Some((named(file.clone()), file))
    }

    /// Where a hook comes from.
    pub fn origin(&self, hook: &Hook) -> Origin {
        match hook.source.as_str() {
            "user" | "project" | "sessionFlags" | "unknown" => Origin::Own,
            "plugin" => Origin::Plugin(hook.plugin_id.clone().unwrap_or_else(|| "codex-tally".to_string())),
            // Those of requirements are named by the folder of their programs.
            _ if hook.source_path.is_file() => Origin::Managed(named(Some(hook.source_path.clone()))),
            "system" => Origin::Managed(named(file())),
            _ => Origin::Managed(named(None)),
        }
    }
}

/// How the hooks get into the managed layer.
fn by_init(layer: &str) -> String {
    if Path::new(layer) == Path::new("/").join(REQUIREMENTS) {
        format!("as who may write {layer} (root): codex-tally init --system")
    } else {
        format!("who administers {layer} can add what is in hooks/requirements.toml")
    }
}

impl Origin {
    /// What to do where some of its hooks are not registered.
    pub fn complete(&self) -> String {
        match self {
            Origin::Own => "codex-tally init --trust".to_string(),
            Origin::Plugin(id) => format!(
                "install the plugin of this version again: codex plugin remove {id}, then codex plugin add {id}; or remove it and \
                 `codex-tally init --trust`"
            ),
            Origin::Managed(layer) => by_init(layer),
        }
    }

    /// What to do where it is not trusted.
    pub fn trust(&self) -> String {
        match self {
            Origin::Own => "codex-tally init --trust, or trust them in `codex` (/hooks)".to_string(),
            Origin::Plugin(_) => "start `codex` and trust them when it asks, or with /hooks: \
                                  `init --trust` trusts only what `init` has registered"
                .to_string(),
            Origin::Managed(layer) => format!("who administers {layer} decides on them"),
        }
    }

    /// What to do where the program that it calls is not there.
    pub fn program(&self) -> String {
        match self {
            Origin::Own => {
                "install codex-tally there again, or `codex-tally uninstall` and `codex-tally init --trust`".to_string()
            }
            Origin::Plugin(_) => {
                "install codex-tally-hook in a folder of the PATH that `codex` is started with".to_string()
            }
            Origin::Managed(layer) => format!(
                "install codex-tally there again for all users; or with where it is, {}",
                by_init(layer).replace("--system", "--system --hook PROGRAM")
            ),
        }
    }

    /// How it is taken out.
    fn remove(&self) -> String {
        match self {
            Origin::Own => "codex-tally uninstall".to_string(),
            Origin::Plugin(id) => format!("codex plugin remove {id}"),
            Origin::Managed(layer) => format!("who administers {layer} can take it out"),
        }
    }

    /// Which of several to keep, and how the others are taken out.
    pub fn keep_one(origins: &[Origin]) -> String {
        let left = |others: &[Origin]| others.iter().map(Origin::remove).collect::<Vec<_>>().join("; ");
        match origins {
            [others @ .., Origin::Managed(layer)] if !others.is_empty() => {
                format!("{} ({layer} has the hook for all users)", left(others))
            }
            [Origin::Own, plugins @ ..] if !plugins.is_empty() => {
                format!("{} (what `init` has registered stays, with the exporter)", left(plugins))
            }
            [Origin::Own] => "keep one: codex-tally uninstall, or take the lines out of the other file".to_string(),
            others => format!("keep one: {}", left(others)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hook(source: &str, path: &str) -> Hook {
        serde_json::from_value(json!({"key": "k", "eventName": "stop", "command": "codex-tally-hook", "sourcePath": path,
            "source": source, "pluginId": "codex-tally@here", "enabled": true, "currentHash": "h", "trustStatus": "untrusted"}))
        .unwrap()
    }

    #[test]
    fn who_can_change_it_is_told() {
        let managed = Managed::default();
        let own = managed.origin(&hook("user", "/x/config.toml"));
        let plugin = managed.origin(&hook("plugin", "/x/hooks.json"));
        let cloud = managed.origin(&hook("cloudRequirements", "/nowhere"));
        assert_eq!(own, Origin::Own);
        assert_eq!(plugin, Origin::Plugin("codex-tally@here".into()));
        assert_eq!(cloud, Origin::Managed("the managed configuration".into()));
        assert!(!plugin.trust().contains("codex-tally init") && own.trust().contains("codex-tally init --trust"));
        assert!(cloud.complete().contains("who administers") && !cloud.complete().contains("codex-tally init"));
        let requirements = Origin::Managed(format!("/{REQUIREMENTS}"));
        assert!(
            requirements.complete().ends_with("init --system") && requirements.program().contains("--hook PROGRAM")
        );
        for (origins, first) in [
            (vec![own.clone(), plugin.clone()], "codex plugin remove codex-tally@here (what `init`"),
            (vec![own.clone(), cloud.clone()], "codex-tally uninstall (the managed configuration has"),
            (vec![plugin.clone(), cloud.clone()], "codex plugin remove codex-tally@here (the managed"),
            (vec![own.clone(), plugin, cloud], "codex-tally uninstall; codex plugin remove codex-tally@here ("),
            (vec![own], "keep one"),
        ] {
            assert!(Origin::keep_one(&origins).starts_with(first), "{}", Origin::keep_one(&origins));
        }
    }

    #[test]
    fn what_cannot_be_overridden_is_told_from_what_can() {
        let nobody = Managed::new(json!({"otel": {"exporter": null}}));
        for (kind, demanded) in
            [("system", false), ("user", false), ("legacyManagedConfigTomlFromFile", true), ("mdm", true)]
        {
            let found = nobody.exporter(&json!({"name": {"type": kind, "file": "/f"}}));
            assert_eq!(found.is_some(), demanded, "{kind}");
        }
        assert!(nobody.exporter(&Value::Null).is_none() && nobody.without_user_hooks().is_none());
        let demands = Managed::new(json!({"otel": {"exporter": "none"}, "allowManagedHooksOnly": true}));
        assert!(demands.exporter(&Value::Null).is_some());
        assert!(demands.without_user_hooks().is_some_and(|(_, next)| next.ends_with("init --system")));
        let off = Managed::new(json!({"featureRequirements": {"hooks": false}}));
        assert!(off.without_user_hooks().is_some_and(|(why, _)| why.contains("switched off")));
    }
}
