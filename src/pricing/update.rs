//! What public price lists say today, compared with the book: what is new, what changed, and on what the lists disagree.

use super::book::PriceBook;
use super::findings::oddities;
use super::offers::{Offer, Offers, Said};
use super::rate::{Period, Rates, TierRates, period_at};
use super::resolve::strip_date;
use crate::model::{Day, ServiceTier, per_million};
use std::collections::{BTreeMap, BTreeSet};

/// A list that was read, and what to say of where it came from.
#[derive(Debug)]
pub struct Feed {
    /// The name in the comparison.
    pub name: String,
    /// Place and hash of what was read.
    pub text: String,
    /// SHA-256 (hex) of what was read.
    pub hash: String,
    /// What it says.
    pub offers: Offers,
}

/// What became of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The lists have another price than the book.
    Changed,
    /// The book does not have it.
    New,
    /// The same price, after the day through which it was promised.
    Confirmed,
    /// The lists do not agree; nothing is added.
    Disagreed,
    /// There is a reason against adding it.
    Held,
}

impl Outcome {
    /// All, as they are listed.
    pub const ALL: [Outcome; 5] =
        [Outcome::Changed, Outcome::New, Outcome::Confirmed, Outcome::Disagreed, Outcome::Held];

    /// The name in the comparison.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Changed => "changed",
            Outcome::New => "new",
            Outcome::Confirmed => "confirmed",
            Outcome::Disagreed => "disagreed",
            Outcome::Held => "held",
        }
    }
}

/// A model whose entry in the book would change, or should have and does not.
#[derive(Debug)]
pub struct Entry {
    /// The model.
    pub model: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What to know, a line each.
    pub lines: Vec<String>,
    pub(super) period: Option<Period>,
}

/// The comparison.
#[derive(Debug)]
pub struct Update {
    /// The day it is for: the first day of what is added.
    pub day: Day,
    /// The models that are not simply unchanged, by outcome and name.
    pub entries: Vec<Entry>,
    /// How many models have the price that the book has.
    pub unchanged: usize,
    /// The models that the book has or that were asked for, and none of the lists has.
    pub missed: Vec<String>,
}

/// What a comparison is asked for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The day.
    pub day: Day,
    /// The list that is believed where they disagree.
    pub prefer: Option<&'a str>,
    /// Only these models, if any.
    pub only: &'a [String],
}

/// Compares lists with the book. Each model is taken as a whole or not at all.
pub fn compare(book: &PriceBook, feeds: &[Feed], asked: &Asked<'_>) -> Update {
    let names: BTreeSet<&String> =
        feeds.iter().flat_map(|feed| feed.offers.models.keys().chain(feed.offers.skipped.keys())).collect();
    let mut update = Update { day: asked.day, entries: Vec::new(), unchanged: 0, missed: Vec::new() };
    let only: BTreeSet<&str> =
        asked.only.iter().map(|name| book.find(name).map_or(name.as_str(), |(found, _)| found.name)).collect();
    let wanted = |name: &String| only.is_empty() || only.contains(name.as_str());
    for name in names.iter().filter(|name| wanted(name) && is_a_model_of_its_own(book, &names, name)) {
        match compare_model(book, feeds, asked, name) {
            Some(entry) => update.entries.push(entry),
            None if book.models.contains_key(*name) => update.unchanged += 1,
            None => {}
        }
    }
    let ours =
        book.models.iter().filter(|(name, model)| !model.usd.is_empty() && wanted(name)).map(|(name, _)| name.as_str());
    let missed: BTreeSet<&str> =
        ours.chain(only.iter().copied()).filter(|name| !names.contains(&name.to_string())).collect();
    update.missed = missed.into_iter().map(str::to_string).collect();
    update.entries.sort_by(|a, b| (a.outcome, &a.model).cmp(&(b.outcome, &b.model)));
    update
}

/// Not another name of a model that the book has, nor a dated snapshot of one that the lists have.
fn is_a_model_of_its_own(book: &PriceBook, names: &BTreeSet<&String>, name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return false;
    }
    let other_name = !book.models.contains_key(name) && book.find(name).is_some();
    let snapshot = strip_date(name).is_some_and(|base| names.contains(&base.to_string()));
    !other_name && !snapshot
}

/// A model's entry in the comparison, if there is anything to say.
fn compare_model(book: &PriceBook, feeds: &[Feed], asked: &Asked<'_>, name: &str) -> Option<Entry> {
    let entry = |outcome, lines, period| Some(Entry { model: name.to_string(), outcome, lines, period });
    let known = book.models.get(name);
    let skipped = feeds.iter().filter_map(|feed| Some((feed, feed.offers.skipped.get(name)?)));
    let skipped: Vec<_> = skipped.map(|(feed, why)| format!("{} is not taken: {why}", feed.name)).collect();
    let offers: Vec<_> = feeds.iter().filter_map(|feed| Some((feed, feed.offers.models.get(name)?))).collect();
    if offers.is_empty() {
        // What the lists have beside models for text is of no interest, unless it was asked for.
        let tell = known.is_some() || !asked.only.is_empty();
        return tell.then(|| entry(Outcome::Held, skipped, None)).flatten();
    }
    if known.is_none() && offers.iter().all(|(_, offer)| offer.by_alias) {
        return None;
    }
    if let Some(reason) = book.unpriced.get(name) {
        return entry(Outcome::Held, vec![format!("the book says that it has no price: {reason}")], None);
    }
    let offer = match merged(&offers, asked.prefer) {
        Ok(offer) => offer,
        Err(lines) => return entry(Outcome::Disagreed, lines, None),
    };
    let usd = known.map_or(&[][..], |model| &model.usd);
    let old = period_at(usd, asked.day);
    let sources = offers.iter().map(|(feed, _)| key(feed)).collect();
    let (mut period, mut lines) = match settle(old, &offer, asked.day, sources) {
        Ok(settled) => settled,
        // An embedding, for example.
        Err(_) if known.is_none() && asked.only.is_empty() => return None,
        Err(why) => return entry(Outcome::Held, vec![why], None),
    };
    let changes = differences(old, &period);
    let outcome = match old {
        None => Outcome::New,
        Some(_) if !changes.is_empty() => Outcome::Changed,
        // Only what the lists say as a whole renews a promise that ended.
        Some(old) if old.guaranteed_through.is_some_and(|last| asked.day > last) => {
            let carried = std::mem::take(&mut lines);
            if !carried.is_empty() {
                return entry(Outcome::Held, carried, None);
            }
            lines.push(format!("the price was promised through {}; the lists still have it", old.guaranteed_through?));
            Outcome::Confirmed
        }
        Some(_) => return (!skipped.is_empty()).then(|| entry(Outcome::Held, skipped, None)).flatten(),
    };
    period.notes.extend(lines.iter().cloned());
    let mut all = changes;
    all.extend(lines);
    all.extend(skipped);
    if let Some(since) = offer.since.filter(|since| *since < asked.day && old.is_none_or(|old| old.from < *since)) {
        all.push(format!("a list dates it {since}: --at {since} adds it from that day on"));
    }
    match objection(usd, &period) {
        Some(why) => {
            all.push(why);
            entry(Outcome::Held, all, None)
        }
        None => entry(outcome, all, Some(period)),
    }
}

/// What stands against a period.
fn objection(usd: &[Period], period: &Period) -> Option<String> {
    if let Some(last) = usd.last().filter(|last| last.from >= period.from) {
        return Some(format!("the book already has a price from {} on; nothing is put before it", last.from));
    }
    let tier = usd.last().and_then(|last| last.tiers.iter().find(|(_, tier)| tier.from >= period.from));
    if let Some((tier, rates)) = tier {
        return Some(format!("the book has {tier} from {} on; nothing is put before it", rates.from));
    }
    let all = period.tiers.values().flat_map(|tier| [Some(tier.short), tier.long]).flatten();
    if all.into_iter().any(|rates| rates[1] > rates[0]) {
        return Some("cached input costs more than input there; it looks wrong".into());
    }
    oddities(period).into_iter().next()
}

/// The key of a list in the file: another content is another source.
pub(super) fn key(feed: &Feed) -> String {
    format!("{}-{}", feed.offers.format, feed.hash.get(..12).unwrap_or(&feed.hash))
}

/// What the lists say together; or where they disagree and none is preferred.
fn merged(offers: &[(&Feed, &Offer)], prefer: Option<&str>) -> Result<Offer, Vec<String>> {
    let preferred = |feed: &Feed| prefer.is_some_and(|name| feed.name == name || feed.offers.format == name);
    let mut offer = Offer { since: offers.iter().filter_map(|(_, offer)| offer.since).max(), ..Offer::default() };
    let mut disagreed = Vec::new();
    let mut settle = |what: String, said: Vec<(&Feed, i64)>| -> Option<i64> {
        let chosen = said.iter().find(|(feed, _)| preferred(feed)).or(said.first())?;
        if said.iter().any(|(_, value)| *value != chosen.1) && !preferred(chosen.0) {
            let each = said.iter().map(|(feed, value)| format!("{} {}", feed.name, shown(&what, *value)));
            disagreed.push(format!("{what}: {}", each.collect::<Vec<_>>().join(", ")));
        }
        Some(chosen.1)
    };
    let sizes = offers.iter().filter_map(|(feed, offer)| Some((*feed, i64::try_from(offer.long_above?).ok()?)));
    offer.long_above = settle(SIZE.into(), sizes.collect()).and_then(|size| u64::try_from(size).ok());
    let rows: BTreeSet<_> = offers.iter().flat_map(|(_, offer)| offer.rows.keys()).collect();
    for row in rows {
        let mut said = Said::default();
        for (field, slot) in said.iter_mut().enumerate() {
            let each = offers.iter().filter_map(|(feed, offer)| Some((*feed, offer.rows.get(row)?[field]?)));
            *slot = settle(format!("{} {}", place(row), FIELDS[field]), each.collect());
        }
        offer.rows.insert(row.clone(), said);
    }
    if disagreed.is_empty() { Ok(offer) } else { Err(disagreed) }
}

const SIZE: &str = "largest short input";
const FIELDS: [&str; 4] = ["input", "cached", "cache write", "output"];

fn shown(what: &str, value: i64) -> String {
    if what == SIZE { value.to_string() } else { per_million(value) }
}

fn place((tier, long): &(ServiceTier, bool)) -> String {
    if *long { format!("{tier} (long input)") } else { tier.to_string() }
}

/// The period that follows from what the lists say and what the book had: with what to know of it, or why there is none.
///
/// What no list speaks of is kept where nothing that the lists do speak of changed for standard requests; else it has no price.
fn settle(
    old: Option<&Period>,
    offer: &Offer,
    from: Day,
    sources: Vec<String>,
) -> Result<(Period, Vec<String>), String> {
    let before = |tier: &ServiceTier, long: bool| {
        let rates = old?.tiers.get(tier)?;
        if long { rates.long } else { Some(rates.short) }
    };
    let standard = (ServiceTier::Standard, false);
    let said = offer.rows.get(&standard).copied().unwrap_or_default();
    let was = before(&ServiceTier::Standard, false);
    let calm = was.is_some_and(|was| said.iter().zip(was).all(|(said, was)| said.is_none_or(|said| said == was)));
    let long_above = offer.long_above.or(old.and_then(|old| old.long_above));
    let same_size = old.is_some_and(|old| old.long_above == long_above);
    let mut rows: BTreeSet<_> = offer.rows.keys().cloned().collect();
    for (tier, rates) in old.iter().flat_map(|old| &old.tiers) {
        rows.insert((tier.clone(), false));
        rows.extend(rates.long.map(|_| (tier.clone(), true)));
    }
    rows.insert(standard);
    let (mut tiers, mut lines) = (BTreeMap::<ServiceTier, TierRates>::new(), Vec::new());
    for row in rows {
        let (tier, long) = &row;
        let was = before(tier, *long);
        let rates = match (offer.rows.get(&row), was) {
            (Some(said), _) => one(said, was, calm).map_err(|what| format!("no list says {} {what}", place(&row)))?,
            (None, Some(was)) if calm && (!long || same_size) => {
                lines.push(format!("{} is kept: no list has it", place(&row)));
                was
            }
            (None, _) if *tier == ServiceTier::Standard && !long => return Err("no list has a standard price".into()),
            (None, _) => {
                lines.push(format!("{} has no price from then on: no list has it", place(&row)));
                continue;
            }
        };
        match (tiers.get_mut(tier), long) {
            (None, false) => drop(tiers.insert(tier.clone(), TierRates { from, short: rates, long: None })),
            (Some(known), true) => known.long = Some(rates),
            _ => lines.push(format!("{} is left out: the tier has no other price", place(&row))),
        }
    }
    let period =
        Period { from, guaranteed_through: None, long_above, tiers, sources, notes: Vec::new(), disputed: None };
    Ok((period, lines))
}

/// The rates of a row that a list has. What it does not say is as before where the rest is, and what follows input follows it.
fn one(said: &Said, was: Option<Rates>, calm: bool) -> Result<Rates, &'static str> {
    let kept = |field: usize| was.filter(|_| calm).map(|was| was[field]);
    let input = said[0].or(kept(0)).ok_or(FIELDS[0])?;
    let by_input = |field: usize| match (said[field], was) {
        (Some(rate), _) => Ok(rate),
        (None, Some(was)) if was[field] == was[0] => Ok(input),
        (None, Some(was)) if was[0] == input => Ok(was[field]),
        (None, Some(_)) => Err(FIELDS[field]),
        (None, None) => Ok(input),
    };
    Ok([input, by_input(1)?, by_input(2)?, said[3].or(kept(3)).ok_or(FIELDS[3])?])
}

/// A line for each row that differs, with old and new rates.
fn differences(old: Option<&Period>, new: &Period) -> Vec<String> {
    let rows = |period: &Period| {
        let mut rows = BTreeMap::new();
        for (tier, rates) in &period.tiers {
            rows.insert((tier.clone(), false), rates.short);
            rates.long.map(|long| rows.insert((tier.clone(), true), long));
        }
        rows
    };
    let (was, is) = (old.map(rows).unwrap_or_default(), rows(new));
    let mut lines = Vec::new();
    if old.is_some_and(|old| old.long_above != new.long_above) || (old.is_none() && new.long_above.is_some()) {
        let size = |size: Option<u64>| size.map_or("none".to_string(), |size| size.to_string());
        let was = old.map(|old| format!("{} -> ", size(old.long_above))).unwrap_or_default();
        lines.push(format!("{SIZE}: {was}{}", size(new.long_above)));
    }
    for (row, rates) in &is {
        let before = was.get(row);
        if before != Some(rates) {
            let each = (0..4).filter(|i| before.is_none_or(|before| before[*i] != rates[*i])).map(|i| {
                let was = before.map(|before| format!("{} -> ", per_million(before[i]))).unwrap_or_default();
                format!("{} {was}{}", FIELDS[i], per_million(rates[i]))
            });
            lines.push(format!("{}: {}", place(row), each.collect::<Vec<_>>().join(", ")));
        }
    }
    let gone = was.keys().filter(|row| !is.contains_key(*row));
    lines.extend(gone.map(|row| format!("{}: no price any more", place(row))));
    lines
}
