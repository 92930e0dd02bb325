//! Paths, environment and the configuration file. Precedence: flag, environment, file, default.

mod billing;
mod env;
mod file;
mod forward;
mod members;
mod rates;
mod teams;
mod tokens;
mod users;

pub use billing::BillingConfig;
pub use env::{Env, HOOK_VARS, VARIABLES, Variable, user_name};
pub use file::{
    CaptureConfig, ChannelConfig, ConfigFile, FocusConfig, PrivacyConfig, PromptCapture, SinkConfig, ToolCapture,
};
pub use forward::ForwardConfig;
pub use rates::{code as currency_code, read_rates};
pub use teams::read_teams;
pub use tokens::SinkToken;
pub use users::{UserPrivacy, users, users_of_hook};

use std::path::{Path, PathBuf};

/// Where everything of one user's installation is.
///
/// `--home`, else `CODEX_TALLY_HOME`, else `$XDG_STATE_HOME/codex-tally`, else `~/.local/state/codex-tally`.
/// `None` if not even the user's home folder is known.
pub fn home(flag: Option<&Path>, env: &Env) -> Option<PathBuf> {
    let absolute = |name: &str| env.path(name).filter(|p| p.is_absolute());
    flag.map(Path::to_path_buf)
        .or_else(|| env.path("CODEX_TALLY_HOME"))
        .or_else(|| absolute("XDG_STATE_HOME").map(|p| p.join("codex-tally")))
        .or_else(|| absolute("HOME").map(|p| p.join(".local/state/codex-tally")))
}

/// The CODEX_HOME of this environment: `CODEX_HOME`, else `~/.codex`.
pub fn codex_home(env: &Env) -> Option<PathBuf> {
    env.path("CODEX_HOME").or_else(|| env.path("HOME").map(|home| home.join(".codex")))
}

/// The database file: `--db`, else `CODEX_TALLY_DB`, else the file's `db`, else `tally.db` in the home.
///
/// # Errors
/// The URL is not of a kind that this version knows.
pub fn database(flag: Option<&str>, env: &Env, file: &ConfigFile, home: &Path) -> anyhow::Result<PathBuf> {
    let chosen = flag.map(str::to_string).or_else(|| env.text("CODEX_TALLY_DB")).or_else(|| file.db.clone());
    match chosen.as_deref() {
        None => Ok(home.join("tally.db")),
        Some(url) => match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(PathBuf::from(path)),
            _ => anyhow::bail!("`{url}` is no database this version knows; write sqlite:PATH"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_found_by_precedence() {
        let env = |pairs: &[(&str, &str)]| Env::from_pairs(pairs.iter().copied());
        let all = [("CODEX_TALLY_HOME", "/c"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(home(Some(Path::new("/f")), &env(&all)).unwrap(), Path::new("/f"));
        assert_eq!(home(None, &env(&all)).unwrap(), Path::new("/c"));
        assert_eq!(home(None, &env(&all[1..])).unwrap(), Path::new("/x/codex-tally"));
        assert_eq!(home(None, &env(&all[2..])).unwrap(), Path::new("/h/.local/state/codex-tally"));
        assert_eq!(home(None, &env(&[("XDG_STATE_HOME", "relative"), ("HOME", "")])), None);
    }

    #[test]
    fn databases_are_urls() {
        let (none, file) = (Env::from_pairs([]), ConfigFile::default());
        let db = |flag| database(flag, &none, &file, Path::new("/h"));
        assert_eq!(db(None).unwrap(), Path::new("/h/tally.db"));
        assert_eq!(db(Some("sqlite:/a/b.db")).unwrap(), Path::new("/a/b.db"));
        assert!(db(Some("mysql://x")).unwrap_err().to_string().contains("sqlite:PATH"));
    }
}
