//! What the scripted model served, and what it costs: worked out here a second time, without the program under test.

use std::collections::BTreeMap;
use std::path::Path;

use codex_tally::ledger::{self, Options};
use codex_tally::model::Channel;
use codex_tally::pricing::PriceBook;
use codex_tally::store::Store;
use codex_tally::store::sqlite::SqliteStore;
use serde_json::{Value, json};

/// The tokens of one response, as the API reports them: cached and written are part of input, reasoning of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usage {
    pub input: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

impl Usage {
    pub(super) fn json(self) -> Value {
        let mut usage = json!({
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input + self.output,
        });
        // The API names written tokens only for models that bill them.
        if self.cache_write > 0 {
            usage["input_tokens_details"]["cache_write_tokens"] = self.cache_write.into();
        }
        usage
    }

    /// Without details.
    pub(super) fn bare(self) -> Value {
        json!({"input_tokens": self.input, "output_tokens": self.output, "total_tokens": self.input + self.output})
    }
}

/// One response that was served with usage, and what the request for it said of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Served {
    pub thread: String,
    pub model: String,
    /// As requested; empty for the standard one.
    pub tier: String,
    pub usage: Usage,
}

/// Picodollars a token: uncached input, cached, written, output.
type Rates = [u128; 4];

/// List prices of the models that the tests use, by tier. What is not here has none.
fn rates(model: &str, tier: &str, input: u64) -> Option<Rates> {
    let long = input > 272_000;
    // In dollars per thousand million tokens.
    let dollars = match (model, tier, long) {
        ("gpt-5.5", "", false) => [5_000, 500, 5_000, 30_000],
        ("gpt-5.5", "", true) => [10_000, 1_000, 10_000, 45_000],
        ("gpt-5.5", "flex", false) => [2_500, 250, 2_500, 15_000],
        ("gpt-5.5", "flex", true) => [5_000, 500, 5_000, 22_500],
        ("gpt-5.5", "priority", false) => [12_500, 1_250, 12_500, 75_000],
        ("gpt-5.4", "", false) => [2_500, 250, 2_500, 15_000],
        ("gpt-5.4", "", true) => [5_000, 500, 5_000, 22_500],
        ("gpt-5.4", "flex", false) => [1_250, 130, 1_250, 7_500],
        ("gpt-5.4", "flex", true) => [2_500, 250, 2_500, 11_250],
        ("gpt-5.4", "priority", false) => [5_000, 500, 5_000, 30_000],
        ("gpt-5.6-terra", "", false) => [2_000, 200, 2_500, 12_000],
        ("gpt-5.6-terra", "", true) => [4_000, 400, 5_000, 18_000],
        ("gpt-5.6-terra", "flex", false) => [1_000, 100, 1_250, 6_000],
        ("gpt-5.6-terra", "flex", true) => [2_000, 200, 2_500, 9_000],
        ("gpt-5.6-terra", "priority", false) => [4_000, 400, 5_000, 24_000],
        ("gpt-5.6-terra", "priority", true) => [8_000, 800, 10_000, 36_000],
        ("gpt-6.1-terra", "", false) => [1_000, 50, 1_250, 5_000],
        ("gpt-6-luna", "", false) => [100, 10, 125, 500],
        _ => return None,
    };
    Some(dollars.map(|rate| rate * 1_000))
}

/// What a response costs, in picodollars.
pub fn cost(served: &Served) -> Option<u128> {
    let Usage { input, cached, cache_write, output, .. } = served.usage;
    let counts = [input - cached - cache_write, cached, cache_write, output];
    let rates = rates(&served.model, &served.tier, input)?;
    Some(rates.iter().zip(counts).map(|(rate, n)| rate * u128::from(n)).sum())
}

/// The totals that a report must show for these responses.
pub fn totals(served: &[Served]) -> Value {
    let sum = |part: fn(&Usage) -> u64| served.iter().map(|s| part(&s.usage)).sum::<u64>();
    let (input, cached, written) = (sum(|u| u.input), sum(|u| u.cached), sum(|u| u.cache_write));
    let (output, reasoning) = (sum(|u| u.output), sum(|u| u.reasoning));
    let unpriced = served.iter().filter(|s| cost(s).is_none()).map(|s| s.usage.input + s.usage.output);
    let unpriced: u64 = unpriced.sum();
    let costs: Vec<u128> = served.iter().filter_map(cost).collect();
    let pico: u128 = costs.iter().sum();
    json!({
        "responses": served.len(),
        "input_tokens": input,
        "uncached_input_tokens": input - cached - written,
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": output,
        "reasoning_tokens": reasoning,
        "total_tokens": input + output,
        // Nothing that has a price is not 0, unless there is nothing at all.
        "list_usd": (served.is_empty() || !costs.is_empty())
            .then(|| format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000)),
        "unpriced_tokens": unpriced,
    })
}

/// A response that a ledger holds, in the words of the truth.
#[derive(Clone, Debug)]
pub struct Held {
    pub served: Served,
    /// What it costs there, in picodollars.
    pub amount: Option<u128>,
    pub ambiguous: bool,
    /// The sources that saw it.
    pub seen_by: String,
    pub session: String,
}

/// The responses that the ledger below this home holds, where `channel = "api"` is configured.
pub fn held(home: &Path) -> Vec<Held> {
    let store = SqliteStore::open(&home.join("tally.db")).expect("a store");
    let observations = store.observations().expect("observations");
    let options = Options { default_channel: Some(Channel::Api), ..Options::default() };
    let ledger = ledger::build(&observations, &options, PriceBook::builtin());
    let held = ledger.lines.iter().map(|line| {
        let r = &line.response;
        let u = r.usage;
        let usage = Usage {
            input: u.input,
            cached: u.cached_input,
            cache_write: u.cache_write,
            output: u.output,
            reasoning: u.reasoning,
        };
        let tier = Some(r.tier.to_string()).filter(|tier| tier != "standard").unwrap_or_default();
        Held {
            served: Served { thread: r.thread.to_string(), model: r.model.clone().unwrap_or_default(), tier, usage },
            amount: line.priced.list.map(|amount| u128::try_from(amount.pico).expect("a positive amount")),
            ambiguous: r.ambiguous,
            seen_by: r.evidence.name(),
            session: r.session.to_string(),
        }
    });
    held.collect()
}

/// How what is held differs from the truth: what is missing, what is too much, and what costs something else.
pub fn differences(held: &[Held], served: &[Served]) -> Vec<String> {
    let mut count: BTreeMap<&Served, i64> = BTreeMap::new();
    for s in served {
        *count.entry(s).or_default() += 1;
    }
    for h in held {
        *count.entry(&h.served).or_default() -= 1;
    }
    let wrong = count.into_iter().filter(|(_, n)| *n != 0);
    let mut found: Vec<String> =
        wrong.map(|(s, n)| format!("{} {}: {s:?}", n.abs(), if n > 0 { "missing" } else { "too much" })).collect();
    found.extend(held.iter().filter_map(wrong_amount));
    found
}

/// What is wrong with the amount of a response.
pub fn wrong_amount(held: &Held) -> Option<String> {
    let due = cost(&held.served);
    (held.amount != due).then(|| format!("costs {:?}, not {due:?}: {held:?}", held.amount))
}
