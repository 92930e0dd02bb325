//! New periods as text for the end of a user's own price file. What stands in the file is never touched.

use super::book::PriceBook;
use super::rate::{Period, Rates};
use super::update::{Entry, Feed, Update, key};
use crate::model::{Day, per_million};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use toml::Value;

impl Update {
    /// How many models get a period.
    pub fn additions(&self) -> usize {
        self.added().count()
    }

    fn added(&self) -> impl Iterator<Item = (&Entry, &Period)> {
        self.entries.iter().filter_map(|entry| Some((entry, entry.period.as_ref()?)))
    }

    /// The file with the new periods at its end; a file that is not there yet begins with its head.
    pub fn appended(&self, text: Option<&str>, book: &PriceBook, feeds: &[Feed], today: Day) -> String {
        let mut out = text.map(str::to_string).unwrap_or_else(|| head(today));
        if !out.ends_with('\n') {
            out.push('\n');
        }
        let _ = writeln!(out, "\n# Added on {today} by codex-tally prices update.");
        let used: BTreeSet<&String> = self.added().flat_map(|(_, period)| &period.sources).collect();
        for feed in feeds {
            let key = key(feed);
            if used.contains(&key) && !book.sources.contains_key(&key) {
                let _ = writeln!(out, "[[source]]\nkey = {}\ntext = {}", quoted(&key), quoted(&feed.text));
            }
        }
        for (entry, period) in self.added() {
            period_text(&mut out, &entry.model, period);
        }
        out
    }
}

fn head(today: Day) -> String {
    format!(
        "# Your own prices, beside the built-in list: docs/prices.md has the format.\n\nformat = 1\nas_of = \"{today}\"\n"
    )
}

fn period_text(out: &mut String, model: &str, period: &Period) {
    let sources: Vec<_> = period.sources.iter().map(|source| quoted(source)).collect();
    let _ = write!(
        out,
        "\n[[model]]\nname = {}\n\n[[model.usd]]\neffective_from = \"{}\"\ndate_basis = \"the day of the comparison\"\n",
        quoted(model),
        period.from
    );
    if !period.notes.is_empty() {
        let _ = writeln!(out, "notes = {}", quoted(&period.notes.join("; ")));
    }
    let _ = writeln!(out, "sources = [{}]", sources.join(", "));
    if let Some(above) = period.long_above {
        let _ = writeln!(out, "long_above = {above}");
    }
    let _ = writeln!(out, "[model.usd.short]");
    for (tier, rates) in &period.tiers {
        let _ = writeln!(out, "{tier} = {}", rates_text(&rates.short));
    }
    let long: Vec<_> = period.tiers.iter().filter_map(|(tier, rates)| Some((tier, rates.long?))).collect();
    if !long.is_empty() {
        let _ = writeln!(out, "[model.usd.long]");
    }
    for (tier, rates) in long {
        let _ = writeln!(out, "{tier} = {}", rates_text(&rates));
    }
}

fn rates_text(rates: &Rates) -> String {
    let [input, cached, write, output] = rates.map(per_million);
    format!("{{ input = \"{input}\", cached = \"{cached}\", write = \"{write}\", output = \"{output}\" }}")
}

fn quoted(text: &str) -> String {
    Value::String(text.to_string()).to_string()
}
