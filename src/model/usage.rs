//! Token usage of one model response.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Tokens of one response, as the provider counted them.
///
/// `input` contains `cached_input` and `cache_write` (disjoint parts); `output` contains `reasoning`. Older Codex versions
/// (before 0.145) dropped cache writes everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenUsage {
    /// All input tokens.
    #[serde(rename = "i")]
    pub input: u64,
    /// Input tokens read from the prompt cache.
    #[serde(rename = "c")]
    pub cached_input: u64,
    /// Input tokens written to the prompt cache.
    #[serde(rename = "w", default, skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// All output tokens.
    #[serde(rename = "o")]
    pub output: u64,
    /// Output tokens spent on reasoning.
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Why a token count cannot be true. Such a record is kept and shown, never clamped and never counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quarantine {
    /// Cached input and cache writes are more than the input.
    PartsExceedInput,
    /// Reasoning is more than the output.
    ReasoningExceedsOutput,
    /// A count is larger than any response can be (2^40).
    TooLarge,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quarantine::PartsExceedInput => "cached input and cache writes exceed the input",
            Quarantine::ReasoningExceedsOutput => "reasoning exceeds the output",
            Quarantine::TooLarge => "a token count is impossibly large",
        })
    }
}

impl TokenUsage {
    const MAX: u64 = 1 << 40;

    /// Checks what must hold of any usage; the error says what does not.
    pub fn check(&self) -> Result<(), Quarantine> {
        if [self.input, self.cached_input, self.cache_write, self.output, self.reasoning].iter().any(|n| *n > Self::MAX)
        {
            Err(Quarantine::TooLarge)
        } else if self.cached_input + self.cache_write > self.input {
            Err(Quarantine::PartsExceedInput)
        } else if self.reasoning > self.output {
            Err(Quarantine::ReasoningExceedsOutput)
        } else {
            Ok(())
        }
    }

    /// Input that was neither read from nor written to the cache. Only meaningful after [`TokenUsage::check`].
    pub fn uncached_input(&self) -> u64 {
        self.input.saturating_sub(self.cached_input).saturating_sub(self.cache_write)
    }

    /// Input and output.
    pub fn total(&self) -> u64 {
        self.input + self.output
    }

    /// No token at all.
    pub fn is_empty(&self) -> bool {
        *self == TokenUsage::default()
    }
}

impl std::ops::AddAssign for TokenUsage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached_input += other.cached_input;
        self.cache_write += other.cache_write;
        self.output += other.output;
        self.reasoning += other.reasoning;
    }
}

/// The service tier a response was asked for (Codex never reports the served one).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceTier {
    /// No tier in the request, `auto` or `default`.
    Standard,
    /// `priority`, also called `fast`.
    Priority,
    /// `flex`.
    Flex,
    /// `ultrafast`.
    Ultrafast,
    /// `batch`; not reachable from Codex.
    Batch,
    /// A tier of a newer version; never priced by a neighbour's rate.
    Other(String),
}

impl ServiceTier {
    /// Reads a tier as Codex 0.169 and the API name it; `None` means that the request had none.
    pub fn from_wire(tier: Option<&str>) -> Self {
        match tier.map(str::trim).map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "auto" | "default" | "standard") => ServiceTier::Standard,
            Some("priority" | "fast") => ServiceTier::Priority,
            Some("flex") => ServiceTier::Flex,
            Some("ultrafast") => ServiceTier::Ultrafast,
            Some("batch") => ServiceTier::Batch,
            Some(other) => ServiceTier::Other(other.chars().take(32).collect()),
        }
    }

    /// The name in reports and in the price book.
    pub fn name(&self) -> &str {
        match self {
            ServiceTier::Standard => "standard",
            ServiceTier::Priority => "priority",
            ServiceTier::Flex => "flex",
            ServiceTier::Ultrafast => "ultrafast",
            ServiceTier::Batch => "batch",
            ServiceTier::Other(name) => name,
        }
    }
}

impl fmt::Display for ServiceTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_usage_is_named() {
        let ok = TokenUsage { input: 10, cached_input: 4, cache_write: 6, output: 3, reasoning: 3 };
        assert_eq!(ok.check(), Ok(()));
        assert_eq!(ok.uncached_input(), 0);
        assert_eq!(TokenUsage { cache_write: 7, ..ok }.check(), Err(Quarantine::PartsExceedInput));
        assert_eq!(TokenUsage { reasoning: 4, ..ok }.check(), Err(Quarantine::ReasoningExceedsOutput));
        assert_eq!(TokenUsage { input: u64::MAX, ..ok }.check(), Err(Quarantine::TooLarge));
    }

    #[test]
    fn tiers_have_one_name() {
        assert_eq!(ServiceTier::from_wire(None), ServiceTier::from_wire(Some("default")));
        assert_eq!(ServiceTier::from_wire(Some("fast")).name(), "priority");
        assert_eq!(ServiceTier::from_wire(Some("warp")).name(), "warp");
    }
}
