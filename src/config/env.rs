//! Every environment variable that the program reads, in one list.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
}

/// All variables, as the documentation lists them.
pub const VARIABLES: [Variable; 39] = [
    Variable { name: "CODEX_TALLY_HOME", what: "the folder of store, spool and token (--home)" },
    Variable { name: "CODEX_TALLY_DB", what: "the database URL, sqlite:PATH (--db)" },
    Variable { name: "CODEX_TALLY_CONFIG", what: "the configuration file (--config)" },
    Variable { name: "CODEX_TALLY_OFF", what: "1 switches the hook off" },
    Variable { name: "CODEX_TALLY_TEAM", what: "the team, said by the environment that Codex runs in" },
    Variable {
        name: "OTEL_RESOURCE_ATTRIBUTES",
        what: "team.id, cost_centre, project of the environment that Codex runs in",
    },
    Variable { name: "GITHUB_REPOSITORY", what: "the repository in GitHub Actions: the user becomes ci:<repository>" },
    Variable { name: "CI_PROJECT_PATH", what: "the project in GitLab CI: the user becomes ci:<project>" },
    Variable {
        name: "OPENAI_ADMIN_KEY",
        what: "the key for `billing fetch usage` and `costs`; never stored, never shown",
    },
    Variable { name: "OPENAI_ANALYTICS_KEY", what: "the key for `billing fetch workspace`; never stored, never shown" },
    Variable { name: "CODEX_HOME", what: "where Codex keeps its sessions; default ~/.codex" },
    Variable { name: "XDG_STATE_HOME", what: "where the home is if nothing else says so" },
    Variable { name: "XDG_CONFIG_HOME", what: "where `service install` puts the service's files; default ~/.config" },
    Variable { name: "NO_COLOR", what: "if set, no colours" },
    Variable { name: "TERM", what: "dumb: no colours" },
    Variable { name: "HOME", what: "the user's home folder" },
    Variable { name: "USER", what: "the operating system user" },
    Variable { name: "PATH", what: "where `init` and `doctor` find Codex and the hook" },
    Variable { name: "SHELL", what: "what Codex runs hooks with; `doctor --live` does the same" },
    Variable { name: "OTEL_EXPORTER_OTLP_COMPRESSION", what: "`doctor` warns: with gzip Codex exports nothing" },
    Variable { name: "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", what: "the same for logs" },
    Variable { name: "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", what: "the same for metrics" },
    Variable { name: "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", what: "the same for traces" },
    Variable { name: "OTEL_EXPORTER_OTLP_HEADERS", what: "`doctor`: its headers are stronger than the sink's token" },
    Variable { name: "OTEL_EXPORTER_OTLP_LOGS_HEADERS", what: "the same for logs" },
    Variable { name: "OTEL_EXPORTER_OTLP_TIMEOUT", what: "`doctor`: milliseconds, too few of which lose telemetry" },
    Variable { name: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", what: "the same for logs" },
    Variable { name: "OTEL_BLRP_MAX_QUEUE_SIZE", what: "`doctor`: a queue of too few records loses the others" },
    Variable { name: "HTTP_PROXY", what: "`doctor`: Codex asks it for the sink, too" },
    Variable { name: "http_proxy", what: "the same" },
    Variable { name: "HTTPS_PROXY", what: "the same for a sink that speaks TLS" },
    Variable { name: "https_proxy", what: "the same" },
    Variable { name: "ALL_PROXY", what: "the same for both" },
    Variable { name: "all_proxy", what: "the same" },
    Variable { name: "NO_PROXY", what: "must have the sink's address if there is a proxy" },
    Variable { name: "no_proxy", what: "the same, where NO_PROXY is not set" },
    Variable { name: "NOTIFY_SOCKET", what: "where systemd is told that the sink serves, and goes on" },
    Variable { name: "WATCHDOG_USEC", what: "how often systemd wants to be told" },
    Variable { name: "LOGNAME", what: "the operating system user, where USER is not set" },
];

/// The variables that a hook keeps: nothing else of the environment is looked at.
pub const HOOK_VARS: [&str; 4] =
    ["OTEL_RESOURCE_ATTRIBUTES", "CODEX_TALLY_TEAM", "GITHUB_REPOSITORY", "CI_PROJECT_PATH"];

/// The listed variables as they were when the program started.
#[derive(Clone, Default)]
pub struct Env(HashMap<&'static str, OsString>);

impl std::fmt::Debug for Env {
    /// Names only: some values are keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Env {
    /// Reads the process's environment.
    pub fn from_process() -> Self {
        Env(VARIABLES.iter().filter_map(|v| std::env::var_os(v.name).map(|value| (v.name, value))).collect())
    }

    /// An environment for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let known = |name: &str| VARIABLES.iter().map(|v| v.name).find(|n| *n == name);
        Env(pairs.into_iter().filter_map(|(name, value)| Some((known(name)?, value.into()))).collect())
    }

    /// The same environment with no other variables than these.
    pub fn only(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| names.contains(name));
        self
    }

    /// A variable as text; one that is empty or not UTF-8 counts as not set.
    pub fn text(&self, name: &str) -> Option<String> {
        debug_assert!(VARIABLES.iter().any(|v| v.name == name), "{name} is not in the list of variables");
        self.0.get(name).and_then(|v| v.to_str()).filter(|v| !v.is_empty()).map(str::to_string)
    }

    /// Whether a variable is set, if only to nothing.
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A variable as a path; an empty one counts as not set.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        debug_assert!(VARIABLES.iter().any(|v| v.name == name), "{name} is not in the list of variables");
        self.0.get(name).filter(|v| !v.is_empty()).map(PathBuf::from)
    }

    /// The operating system user's name.
    pub fn os_user(&self) -> String {
        let name = self.text("USER").or_else(|| self.text("LOGNAME"));
        name.unwrap_or_else(|| user_name(rustix::process::geteuid().as_raw()))
    }
}

/// A user's name in the system's list, else `uid:N`.
pub fn user_name(uid: u32) -> String {
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&list, uid).unwrap_or_else(|| format!("uid:{uid}"))
}

/// Lines are `name:password:uid:...`.
fn name_in(list: &str, uid: u32) -> Option<String> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_string())
    };
    list.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_or_numbers() {
        let list = "root:x:0:0:root:/root:/bin/sh\nbroken\ndev:x:1000:1000::/home/dev:/bin/sh\n";
        assert_eq!(name_in(list, 1000).as_deref(), Some("dev"));
        assert_eq!(name_in(list, 7), None);
        assert_eq!(Env::from_pairs([("LOGNAME", "me"), ("USER", "")]).os_user(), "me");
    }
}
