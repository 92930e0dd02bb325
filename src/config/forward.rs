//! Where the sink passes on what it receives.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A receiver, and what it gets.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardConfig {
    /// An OTLP/HTTP receiver, as `OTEL_EXPORTER_OTLP_ENDPOINT` names it: `/v1/logs` and so on are added.
    pub url: String,
    /// Headers of each request, for example the receiver's key. The token of the sink is never sent on.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The most that waits on disk, in MiB.
    #[serde(default = "queue_mib")]
    pub queue_mib: u64,
    /// Add what completed responses cost and who pays.
    #[serde(default = "yes")]
    pub costs: bool,
    /// Send without encryption to another machine.
    #[serde(default)]
    pub plain: bool,
}

fn queue_mib() -> u64 {
    256
}

fn yes() -> bool {
    true
}

impl ForwardConfig {
    /// To this receiver, with the defaults for the rest.
    pub fn to(url: &str) -> Self {
        let (url, headers) = (url.to_string(), BTreeMap::new());
        ForwardConfig { url, headers, queue_mib: queue_mib(), costs: yes(), plain: false }
    }
}

impl fmt::Debug for ForwardConfig {
    /// Without headers: they have keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardConfig").field("url", &self.url).finish_non_exhaustive()
    }
}
