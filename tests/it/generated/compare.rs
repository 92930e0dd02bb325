//! The ledger against the truth, where a killed client makes a part of the truth unknowable.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::mock_model::Answer;
use crate::support::truth::{Held, Served, Usage, totals, wrong_amount};

/// Which sources there were.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    pub hooks: bool,
    pub otlp: bool,
    pub transcripts: bool,
}

/// How a run of the client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    /// With an error: the telemetry of the last second is lost.
    Failed,
    /// Stopped in the middle: what it had not asked on after it may not have read.
    Killed,
}

/// An answer of a run.
#[derive(Clone, Debug)]
pub struct Due {
    pub answer: Answer,
    pub end: End,
    pub ephemeral: bool,
    /// Its telemetry had somewhere to go.
    pub exported: bool,
}

impl Due {
    /// Whether a source must have seen it: each for itself, so that all together must hold it if any must.
    fn must(&self, sources: Sources) -> bool {
        let a = &self.answer;
        let is_child = a.served.thread != a.session;
        // A warm-up runs beside everything else; the client may end before it does.
        let ended = self.end == End::Clean || (self.end == End::Failed && !is_child);
        let has_read = a.read || (ended && a.kind != "prewarm");
        let transcript = sources.transcripts && !self.ephemeral && a.kind != "prewarm";
        let hook = sources.hooks && a.kind == "turn";
        let otlp = sources.otlp && self.exported && a.whole && self.end == End::Clean;
        has_read && (transcript || hook || otlp)
    }
}

/// What is wrong with a ledger. Of responses that the client may not have read each is there once or not at all. With odd tiers
/// there were requests whose tier is not that of the settings, which only telemetry tells.
pub fn wrong(held: &[Held], dues: &[Due], sources: Sources, odd_tiers: bool) -> Vec<String> {
    let place = |served: &Served| (served.thread.clone(), served.usage);
    let places = dues.iter().map(|due| place(&due.answer.served)).chain(held.iter().map(|h| place(&h.served)));
    let mut found = Vec::new();
    for here in places.collect::<BTreeSet<(String, Usage)>>() {
        let dues: Vec<_> = dues.iter().filter(|due| place(&due.answer.served) == here).collect();
        let held: Vec<_> = held.iter().filter(|h| place(&h.served) == here).collect();
        let must = dues.iter().filter(|due| due.must(sources)).count();
        if held.len() < must || held.len() > dues.len() {
            found.push(format!("{} and not {must} to {} of {here:?}\n  {dues:?}\n  {held:?}", held.len(), dues.len()));
        }
        let asked: BTreeSet<_> = dues.iter().map(|due| (&due.answer.served.model, &due.answer.served.tier)).collect();
        for h in held {
            let any_tier = odd_tiers && !h.seen_by.contains("otlp");
            let same =
                |(model, tier): &(&String, &String)| **model == h.served.model && (**tier == h.served.tier || any_tier);
            if !h.ambiguous && !asked.iter().any(same) {
                found.push(format!("asked for as {asked:?}: {h:?}"));
            }
            if h.seen_by.contains("transcript") && !dues.iter().any(|due| due.answer.session == h.session) {
                found.push(format!("another session: {dues:?}\n  {h:?}"));
            }
            found.extend(wrong_amount(h));
        }
    }
    found
}

/// The totals of a report must be the sums of what is held.
pub fn wrong_totals(report: &Value, held: &[Held]) -> Vec<String> {
    let served: Vec<Served> = held.iter().map(|h| h.served.clone()).collect();
    let due = totals(&served);
    let wrong = due.as_object().unwrap().iter().filter(|(name, due)| report["totals"][name.as_str()] != **due);
    wrong.map(|(name, due)| format!("the total of {name} is {}, not {due}", report["totals"][name])).collect()
}
