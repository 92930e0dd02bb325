//! Sums of tokens and amounts, and differences of such.

use super::TokenUsage;
use serde::{Deserialize, Serialize};

/// Sums of amounts in pico-units. What nothing was added to is not 0 but absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// List cost of API usage, in USD.
    pub list_usd: Option<i128>,
    /// List cost of ChatGPT usage, in credits.
    pub credits: Option<i128>,
    /// What ChatGPT usage would cost on the API list, in USD.
    pub api_equivalent: Option<i128>,
    /// API usage on the user's contract list, in USD.
    pub contract_usd: Option<i128>,
    /// Fees of hosted tool calls on the public list, in USD; in no other sum.
    pub tool_fees_usd: Option<i128>,
    /// What Codex said that turns cost, in USD.
    pub reported_usd: Option<i128>,
    /// The list cost of the turns that Codex said a cost of, where all of their responses have one in USD.
    pub reported_list_usd: Option<i128>,
}

impl Sums {
    /// The names of [`Sums::all`] in files.
    pub const NAMES: [&str; 7] = [
        "list_usd",
        "chatgpt_credits",
        "api_equivalent_usd",
        "contract_usd",
        "tool_fees_usd",
        "reported_usd",
        "reported_list_usd",
    ];

    /// All of them.
    pub fn all(&self) -> [Option<i128>; 7] {
        [
            self.list_usd,
            self.credits,
            self.api_equivalent,
            self.contract_usd,
            self.tool_fees_usd,
            self.reported_usd,
            self.reported_list_usd,
        ]
    }

    /// From what [`Sums::all`] gives.
    pub fn of_all(all: [Option<i128>; 7]) -> Self {
        let [list_usd, credits, api_equivalent, contract_usd, tool_fees_usd, reported_usd, reported_list_usd] = all;
        Sums { list_usd, credits, api_equivalent, contract_usd, tool_fees_usd, reported_usd, reported_list_usd }
    }

    /// What adds up to 0 left out.
    pub fn without_zeros(self) -> Self {
        Self::of_all(self.all().map(|sum| sum.filter(|n| *n != 0)))
    }
}

impl std::ops::Neg for Sums {
    type Output = Self;

    fn neg(self) -> Self {
        Self::of_all(self.all().map(|sum| sum.map(|n| -n)))
    }
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, o: Self) {
        let add = |a: &mut Option<i128>, b: Option<i128>| *a = a.map_or(b, |a| Some(a + b.unwrap_or(0)));
        add(&mut self.list_usd, o.list_usd);
        add(&mut self.credits, o.credits);
        add(&mut self.api_equivalent, o.api_equivalent);
        add(&mut self.contract_usd, o.contract_usd);
        add(&mut self.tool_fees_usd, o.tool_fees_usd);
        add(&mut self.reported_usd, o.reported_usd);
        add(&mut self.reported_list_usd, o.reported_list_usd);
    }
}

/// The tokens of several responses, or a difference of such; see [`TokenUsage`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSums {
    /// All input tokens.
    pub input: i64,
    /// Those read from the prompt cache.
    pub cached_input: i64,
    /// Those written to the prompt cache.
    pub cache_write: i64,
    /// All output tokens.
    pub output: i64,
    /// Those spent on reasoning.
    pub reasoning: i64,
}

impl TokenSums {
    /// All of them.
    pub fn all(&self) -> [i64; 5] {
        [self.input, self.cached_input, self.cache_write, self.output, self.reasoning]
    }

    /// From what [`TokenSums::all`] gives.
    pub fn of_all([input, cached_input, cache_write, output, reasoning]: [i64; 5]) -> Self {
        TokenSums { input, cached_input, cache_write, output, reasoning }
    }

    /// Input that was neither read from nor written to the cache.
    pub fn uncached_input(&self) -> i64 {
        self.input - self.cached_input - self.cache_write
    }

    /// Input and output.
    pub fn total(&self) -> i64 {
        self.input + self.output
    }
}

impl From<TokenUsage> for TokenSums {
    fn from(u: TokenUsage) -> Self {
        // A usage that passed its check has no count above 2^40.
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        TokenSums {
            input: signed(u.input),
            cached_input: signed(u.cached_input),
            cache_write: signed(u.cache_write),
            output: signed(u.output),
            reasoning: signed(u.reasoning),
        }
    }
}

impl std::ops::AddAssign for TokenSums {
    fn add_assign(&mut self, o: Self) {
        self.input += o.input;
        self.cached_input += o.cached_input;
        self.cache_write += o.cache_write;
        self.output += o.output;
        self.reasoning += o.reasoning;
    }
}

impl std::ops::Neg for TokenSums {
    type Output = Self;

    fn neg(self) -> Self {
        Self::of_all(self.all().map(|n| -n))
    }
}
