//! How a response is billed: by evidence, never by assumption.

use crate::model::Channel;
use std::collections::BTreeSet;

/// What the configuration says where nothing else does.
pub type DefaultChannel = Option<Channel>;

/// What is known of a response's billing.
#[derive(Debug, Default)]
pub(super) struct Evidence<'a> {
    /// `auth_mode` of its OTLP records.
    pub auth_mode: Option<&'a str>,
    /// The ChatGPT account in its transcript.
    pub account: Option<&'a str>,
    /// The model provider's id or name.
    pub provider: Option<&'a str>,
}

/// A decided channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub channel: Channel,
    pub why: String,
    /// Nothing is known of the provider but its name.
    pub assumed_provider: bool,
}

/// Providers that run models on the user's own machine: Codex's built-in ones and their usual names.
const LOCAL: [&str; 4] = ["ollama", "lmstudio", "lm studio", "oss"];

pub(super) fn decide(e: &Evidence<'_>, default: DefaultChannel, priced: &BTreeSet<String>) -> Decision {
    let decision = |channel, why: String| Decision { channel, why, assumed_provider: false };
    let provider = e.provider.map(str::to_ascii_lowercase);
    if let Some(p) = provider.as_deref().filter(|p| LOCAL.contains(p)) {
        return decision(Channel::Local, format!("provider {p} runs on this machine"));
    }
    if let Some(mode) = e.auth_mode {
        let lower = mode.to_ascii_lowercase();
        if lower.starts_with("chatgpt") {
            return decision(Channel::Chatgpt, format!("auth_mode {mode}"));
        }
        if lower == "apikey" || lower == "api_key" {
            return decision(Channel::Api, format!("auth_mode {mode}"));
        }
    }
    if e.account.is_some() {
        return decision(Channel::Chatgpt, "the transcript names a ChatGPT account".into());
    }
    match provider.as_deref() {
        Some(p) if priced.contains(p) => decision(Channel::Api, format!("provider {p}, named by the price file")),
        Some(p) if p != "openai" => Decision {
            channel: Channel::Api,
            why: format!("custom provider {p}, rated at OpenAI list"),
            assumed_provider: true,
        },
        _ => match default {
            Some(channel) => decision(channel, "configured: channel".into()),
            None => decision(Channel::Unknown, "no login, account or provider is known".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_decides_and_nothing_is_assumed() {
        let of = |auth_mode, account, provider, default| {
            let d = decide(&Evidence { auth_mode, account, provider }, default, &["corp".to_string()].into());
            (d.channel, d.assumed_provider)
        };
        assert_eq!(of(Some("Chatgpt"), None, Some("mock"), None), (Channel::Chatgpt, false));
        assert_eq!(of(Some("ApiKey"), Some("acc"), Some("openai"), None), (Channel::Api, false));
        assert_eq!(of(None, Some("acc"), Some("openai"), None), (Channel::Chatgpt, false));
        assert_eq!(of(None, None, Some("mock"), None), (Channel::Api, true));
        assert_eq!(of(None, None, Some("Corp"), None), (Channel::Api, false));
        assert_eq!(of(None, None, Some("ollama"), Some(Channel::Api)), (Channel::Local, false));
        assert_eq!(of(None, None, Some("OpenAI"), None), (Channel::Unknown, false));
        assert_eq!(of(None, None, Some("openai"), Some(Channel::Api)), (Channel::Api, false));
        assert_eq!(of(None, None, None, None), (Channel::Unknown, false));
        assert_eq!(of(Some("SomethingNew"), None, None, None), (Channel::Unknown, false));
    }
}
