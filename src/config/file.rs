//! The configuration file: `config.toml` in the home. It may be missing; an unknown key is an error with its place.

use super::billing::BillingConfig;
use super::forward::ForwardConfig;
use super::users::UserPrivacy;
use crate::config::tokens::{SinkToken, check_tokens};
use crate::model::Capture;
use anyhow::Context;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the file can say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// The database URL.
    pub db: Option<String>,
    /// How Codex is billed where nothing else tells: `api`, `chatgpt` or `local`.
    pub channel: Option<ChannelConfig>,
    /// More CODEX_HOME folders to read.
    pub codex_homes: Vec<PathBuf>,
    /// The rules on who pays; a relative path begins where this file is.
    pub teams: Option<PathBuf>,
    /// The user's own prices; a relative path begins where this file is.
    pub prices: Option<PathBuf>,
    /// The user's currency rates; a relative path begins where this file is.
    pub rates: Option<PathBuf>,
    /// Whose bills the channels are on, as FOCUS exports name it.
    pub focus: FocusConfig,
    /// Where the sink passes on what it receives.
    pub forward: Option<ForwardConfig>,
    /// Tokens of the sink besides its own, each with a name and, if it has one, an owner.
    #[serde(rename = "sink_token")]
    pub sink_tokens: Vec<SinkToken>,
    /// How bills are read, spread and fetched.
    pub billing: BillingConfig,
    /// What is kept of who users are.
    pub privacy: PrivacyConfig,
    /// What is kept of what was said and done.
    pub capture: CaptureConfig,
    /// Where the sink listens if no option says so; `init` writes it when a port is taken.
    pub sink: SinkConfig,
}

/// The accounts that bills are of.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FocusConfig {
    /// The id of the organisation with the API keys.
    pub api_account: Option<String>,
    /// Its name.
    pub api_account_name: Option<String>,
    /// The id of the ChatGPT workspace.
    pub chatgpt_account: Option<String>,
    /// Its name.
    pub chatgpt_account_name: Option<String>,
}

/// `[privacy]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacyConfig {
    /// How users are known.
    pub user: UserPrivacy,
}

/// `[capture]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureConfig {
    /// Of prompts: `none` or `full`.
    pub prompts: PromptCapture,
    /// Of tool calls: `none`, `commands`, or `full` with what came out.
    pub tools: ToolCapture,
    /// For so many days.
    pub days: u32,
}

/// What is kept of prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptCapture {
    /// Nothing.
    #[default]
    None,
    /// Their text.
    Full,
}

/// What is kept of tool calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolCapture {
    /// Nothing but name, time and success.
    #[default]
    None,
    /// What they were told to do.
    Commands,
    /// That, and what came out.
    Full,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        CaptureConfig { prompts: PromptCapture::None, tools: ToolCapture::None, days: 30 }
    }
}

impl From<CaptureConfig> for Capture {
    fn from(config: CaptureConfig) -> Self {
        Capture {
            prompts: config.prompts == PromptCapture::Full,
            commands: config.tools != ToolCapture::None,
            outputs: config.tools == ToolCapture::Full,
            days: config.days,
        }
    }
}

/// Where the sink listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkConfig {
    /// OTLP/HTTP: `127.0.0.1:4318`.
    pub http: Option<SocketAddr>,
    /// OTLP/gRPC: an address, or `none`.
    pub grpc: Option<String>,
    /// The certificate of the sink, with its chain, if it speaks TLS (PEM).
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    pub tls_key: Option<PathBuf>,
    /// The authority whose certificates clients must have (PEM).
    pub tls_client_ca: Option<PathBuf>,
    /// Host names by which the sink may be called, besides the loopback names.
    pub allow_hosts: Vec<String>,
    /// Beyond this machine without encryption, since something in front of the sink encrypts.
    pub allow_cleartext: bool,
}

impl SinkConfig {
    /// Whether it speaks TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls_cert.is_some()
    }
}

/// A billing channel, as the file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelConfig {
    /// By token.
    Api,
    /// A ChatGPT login.
    Chatgpt,
    /// No bill.
    Local,
}

/// What to do about the two slips that keys of tables invite.
fn advice(problem: &str) -> &'static str {
    match problem {
        _ if problem.starts_with("unknown field `channel`") => " (`channel` stands above the first `[table]`)",
        _ if problem.contains("duplicate key") => {
            " (of one thing, keys stand either as `sink.x = ...` or as a table `[sink]`)"
        }
        _ => "",
    }
}

impl ConfigFile {
    /// Reads a file. One that was not asked for by name may be missing.
    ///
    /// # Errors
    /// It was asked for and cannot be read, or it says something that this version does not know.
    pub fn read(path: &Path, asked_for: bool) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !asked_for => Ok(ConfigFile::default()),
            Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
            Ok(text) => {
                let file: ConfigFile = toml::from_str(&text).map_err(|e| {
                    let advice = advice(e.message());
                    anyhow::Error::new(e).context(format!("{} is not understood{advice}", path.display()))
                })?;
                if let Some(odd) = file.codex_homes.iter().find(|home| !home.is_absolute() && !home.starts_with("~")) {
                    anyhow::bail!("{}: codex_homes: `{}` is not a path from / or ~", path.display(), odd.display());
                }
                check_tokens(&file.sink_tokens).with_context(|| format!("{} is not understood", path.display()))?;
                let here = |file: PathBuf| path.parent().map_or(file.clone(), |folder| folder.join(&file));
                let billing = BillingConfig {
                    admin_key_file: file.billing.admin_key_file.clone().map(here),
                    analytics_key_file: file.billing.analytics_key_file.clone().map(here),
                    ..file.billing
                };
                let sink = SinkConfig {
                    tls_cert: file.sink.tls_cert.clone().map(here),
                    tls_key: file.sink.tls_key.clone().map(here),
                    tls_client_ca: file.sink.tls_client_ca.clone().map(here),
                    ..file.sink
                };
                let (teams, prices, rates) = (file.teams.map(here), file.prices.map(here), file.rates.map(here));
                Ok(ConfigFile { teams, prices, rates, billing, sink, ..file })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_strictly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        assert_eq!(ConfigFile::read(&path, false).unwrap(), ConfigFile::default());
        assert!(ConfigFile::read(&path, true).is_err());
        std::fs::write(&path, "channel = \"api\"\ncodex_homes = [\"/a\"]\n").unwrap();
        let file = ConfigFile::read(&path, true).unwrap();
        assert_eq!((file.channel, file.codex_homes.len()), (Some(ChannelConfig::Api), 1));
        std::fs::write(&path, "teams = \"rules/teams.toml\"\n").unwrap();
        assert_eq!(ConfigFile::read(&path, true).unwrap().teams, Some(dir.path().join("rules/teams.toml")));
        std::fs::write(&path, "[sink]\nhttp = \"127.0.0.1:4320\"\ngrpc = \"none\"\n").unwrap();
        let sink = ConfigFile::read(&path, true).unwrap().sink;
        assert_eq!((sink.http.unwrap().port(), sink.grpc.as_deref()), (4320, Some("none")));
        std::fs::write(&path, "chanel = \"api\"\n").unwrap();
        assert!(format!("{:#}", ConfigFile::read(&path, true).unwrap_err()).contains("chanel"));
        for (text, says) in
            [("[capture]\nprompts = \"commands\"\n", "full"), ("[privacy]\nuser = \"hash\"\n", "pseudonym")]
        {
            std::fs::write(&path, text).unwrap();
            assert!(format!("{:#}", ConfigFile::read(&path, true).unwrap_err()).contains(says), "{text}");
        }
        std::fs::write(&path, "[capture]\ntools = \"commands\"\n").unwrap();
        let capture = Capture::from(ConfigFile::read(&path, true).unwrap().capture);
        assert_eq!(capture, Capture { commands: true, days: 30, ..Capture::default() });
        std::fs::write(&path, "codex_homes = [\"rel\"]\n").unwrap();
        assert!(format!("{:#}", ConfigFile::read(&path, true).unwrap_err()).contains("`rel`"));
    }
}
