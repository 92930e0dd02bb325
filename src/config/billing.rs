//! The table `[billing]` of the configuration file.

use crate::model::{ChargeKind, Method};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How bills are spread, and whose the provider's ids are.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BillingConfig {
    /// The method by kind of charge, where it is not the usual one.
    pub methods: BTreeMap<ChargeKind, Method>,
    /// The weights of teams for the method `fixed`.
    pub fixed: BTreeMap<String, u32>,
    /// The teams of the provider's projects.
    pub projects: BTreeMap<String, String>,
    /// The teams of API keys, by their ids; stronger than projects.
    pub api_keys: BTreeMap<String, String>,
    /// Who the provider's user ids are, as reports name users.
    pub users: BTreeMap<String, String>,
    /// What regional processing costs more, in percent.
    pub region_uplift_percent: Option<u8>,
    /// The origin of the organisation's API, if it is not OpenAI's own.
    pub openai_url: Option<String>,
    /// The origin of the workspace's API, if it is not OpenAI's own.
    pub chatgpt_url: Option<String>,
    /// The id of the ChatGPT workspace.
    pub workspace: Option<String>,
    /// A private file with the admin key; a relative path begins where the configuration file is.
    pub admin_key_file: Option<PathBuf>,
    /// The same with the key for the workspace's analytics.
    pub analytics_key_file: Option<PathBuf>,
}
