//! From the price file to the book: every check, and every multiplier resolved to integer rates.

use super::book::{Fee, Model, PriceBook};
use super::own::check_contract;
use super::rate::{Period, Rates, TierRates};
use super::wire;
use crate::model::{Amount, Day, ServiceTier, Unit, parse_pico};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

/// Why a price file is refused: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceBookError {
    /// The place in the file, for example `model gpt-5, usd period 2025-08-07`.
    pub place: String,
    /// What is wrong there and how to put it right.
    pub problem: String,
}

impl fmt::Display for PriceBookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "price book: {}: {}", self.place, self.problem)
    }
}

impl std::error::Error for PriceBookError {}

type Loaded<T> = Result<T, PriceBookError>;

/// A place in the file; it makes the errors found there.
#[derive(Clone)]
struct Place(String);

impl Place {
    fn err<T>(&self, problem: impl Into<String>) -> Loaded<T> {
        Err(PriceBookError { place: self.0.clone(), problem: problem.into() })
    }

    fn inside(&self, more: impl fmt::Display) -> Place {
        Place(format!("{}, {more}", self.0))
    }

    fn day(&self, key: &str, text: &str) -> Loaded<Day> {
        match Day::parse(text) {
            Some(day) => Ok(day),
            None => self.err(format!("{key} `{text}` is not a day; write YYYY-MM-DD")),
        }
    }

    /// A price as an integer of 10^-`digits`.
    fn price(&self, key: &str, text: &str, digits: u32) -> Loaded<i64> {
        match parse_pico(text, digits) {
            Err(e) => self.err(format!("{key}: {e}; write an exact decimal such as \"0.125\"")),
            Ok(price) if price < 0 => self.err(format!("{key} `{text}` is negative; a price is 0 or more")),
            Ok(price) => Ok(price),
        }
    }

    fn tier(&self, name: &str) -> Loaded<ServiceTier> {
        let tier = ServiceTier::from_wire(Some(name));
        if matches!(tier, ServiceTier::Other(_)) || tier.name() != name {
            return self.err(format!("unknown tier `{name}`; use standard, flex, batch, priority or ultrafast"));
        }
        Ok(tier)
    }

    fn sources(&self, listed: &[String], known: &BTreeMap<String, String>) -> Loaded<Vec<String>> {
        if listed.is_empty() {
            return self.err("no source; name at least one key of [sources]");
        }
        match listed.iter().find(|s| !known.contains_key(*s)) {
            Some(unknown) => self.err(format!("unknown source `{unknown}`; add it to [sources]")),
            None => Ok(listed.to_vec()),
        }
    }

    /// A name under which lookups can find something.
    fn name(&self, name: &str) -> Loaded<()> {
        if name.is_empty() || name != name.trim().to_ascii_lowercase() {
            return self.err(format!("the name `{name}` must be lower case without outer space"));
        }
        Ok(())
    }
}

/// Reads and checks a price file. Its aliases may also point to models of `base`.
pub(super) fn load(text: &str, base: Option<&PriceBook>) -> Loaded<PriceBook> {
    let root = Place("file".to_string());
    let mut file: wire::File = toml::from_str(text).or_else(|e| root.err(e.to_string().trim_end()))?;
    if file.format != 1 {
        return root.err(format!("format {} is not known; this version reads format 1", file.format));
    }
    let as_of = root.day("as_of", &file.as_of)?;
    for source in std::mem::take(&mut file.source) {
        let place = Place(format!("source {}", source.key));
        if file.sources.insert(source.key, source.text).is_some() {
            return place.err("listed twice; keep one");
        }
    }
    if file.provider.is_none() && base.is_none() {
        return root.err("no provider; name whose prices these are");
    }
    let models = load_models("model", &file.model, &file.sources, base.is_some())?;
    let contract = load_models("contract", &file.contract, &file.sources, false)?;
    check_contract(&contract)?;
    if file.providers.iter().chain(&file.provider).any(|name| name.trim().is_empty()) {
        return root.err("a provider's name is empty; remove it");
    }
    let mut unpriced = BTreeMap::new();
    for none in &file.unpriced {
        let place = Place(format!("unpriced {}", none.name));
        place.name(&none.name)?;
        if models.contains_key(&none.name) {
            return place.err("also listed as a model with prices; keep one of the two");
        }
        if unpriced.insert(none.name.clone(), none.reason.clone()).is_some() {
            return place.err("listed twice; keep one");
        }
    }
    let known = |name: &String| models.contains_key(name) || base.is_some_and(|b| b.models.contains_key(name));
    check_aliases(&file.aliases, &models, &unpriced, known)?;
    let fees = load_fees(&file)?;
    let hash = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    // Whose list the built-in one is, is no custom provider, in whichever file it is named.
    let named = file.provider.iter().filter(|_| base.is_some()).chain(&file.providers);
    let named = named.map(|name| name.trim().to_ascii_lowercase());
    let providers = named.filter(|name| base.is_none_or(|base| *name != base.provider)).collect();
    let (provider, sources, aliases) = (file.provider.unwrap_or_default(), file.sources, file.aliases);
    Ok(PriceBook {
        provider,
        as_of,
        sources,
        aliases,
        models,
        unpriced,
        fees,
        providers,
        contract,
        passed: Vec::new(),
        hash,
    })
}

/// Reads models. With `later`, a second entry of a model adds later periods: that is how a file grows at its end.
fn load_models(
    what: &str,
    listed: &[wire::Model],
    sources: &BTreeMap<String, String>,
    later: bool,
) -> Loaded<BTreeMap<String, Model>> {
    let mut models = BTreeMap::new();
    for model in listed {
        let place = Place(format!("{what} {}", model.name));
        place.name(&model.name)?;
        let loaded = load_model(&place, model, sources)?;
        match models.entry(model.name.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(loaded)),
            Entry::Occupied(_) if !later => return place.err("listed twice; merge its periods"),
            Entry::Occupied(mut entry) => extend(&place, entry.get_mut(), loaded)?,
        }
    }
    Ok(models)
}

/// Adds later periods to a model.
fn extend(place: &Place, model: &mut Model, later: Model) -> Loaded<()> {
    model.usd.extend(later.usd);
    model.credits.extend(later.credits);
    model.no_credits = later.no_credits.or(model.no_credits.take());
    check_model(place, model)
}

/// An alias names a model directly, so that no chain and no circle can arise, and hides nothing.
fn check_aliases(
    aliases: &BTreeMap<String, String>,
    models: &BTreeMap<String, Model>,
    unpriced: &BTreeMap<String, String>,
    known: impl Fn(&String) -> bool,
) -> Loaded<()> {
    for (alias, target) in aliases {
        let place = Place(format!("alias {alias}"));
        place.name(alias)?;
        if models.contains_key(alias) || unpriced.contains_key(alias) {
            return place.err("hides a model of the same name; remove one of the two");
        }
        if aliases.contains_key(target) {
            return place.err(format!("points to the alias `{target}`; point it to a model"));
        }
        if !known(target) {
            return place.err(format!("points to `{target}`, which is no model with prices; correct the name"));
        }
    }
    Ok(())
}

fn load_fees(file: &wire::File) -> Loaded<BTreeMap<String, Fee>> {
    let mut fees = BTreeMap::new();
    for fee in &file.fee {
        let place = Place(format!("fee {}", fee.name));
        place.sources(&fee.sources, &file.sources)?;
        // 10^-9 of the price of 1,000 calls is 10^-12 of the price of one.
        let pico = place.price("usd_per_1k_calls", &fee.usd_per_1k_calls, 9)?;
        let loaded = Fee { per_call: Amount { pico, unit: Unit::Usd }, notes: fee.notes.clone() };
        if fees.insert(fee.name.clone(), loaded).is_some() {
            return place.err("listed twice; keep one");
        }
    }
    Ok(fees)
}

fn load_model(place: &Place, model: &wire::Model, sources: &BTreeMap<String, String>) -> Loaded<Model> {
    let usd = model.usd.iter().map(|p| usd_period(&place.inside("usd"), p, sources)).collect::<Loaded<Vec<_>>>()?;
    let credits = model
        .credits
        .iter()
        .map(|p| credit_period(&place.inside("credits"), p, sources))
        .collect::<Loaded<Vec<_>>>()?;
    if usd.is_empty() && credits.is_empty() {
        return place.err("has no period; add one, or list it under [[unpriced]] with the reason");
    }
    let model = Model { usd, credits, no_credits: model.no_credits.clone() };
    check_model(place, &model)?;
    Ok(model)
}

fn check_model(place: &Place, model: &Model) -> Loaded<()> {
    if model.no_credits.is_some() && !model.credits.is_empty() {
        return place.err("has credit rates and a reason for having none; remove one of the two");
    }
    check_order(&place.inside("usd"), &model.usd)?;
    check_order(&place.inside("credits"), &model.credits)
}

/// Adds the periods of a user's own file to a model of the built-in list: only those after the last of that list, so that nothing
/// that it says of a day is changed. Returns what is passed over, in words: a newer version may bring a later price itself.
pub(super) fn extend_builtin(name: &str, model: &mut Model, mut own: Model) -> Loaded<Vec<String>> {
    let mut passed = Vec::new();
    for (unit, listed, added) in [("usd", &model.usd, &mut own.usd), ("credits", &model.credits, &mut own.credits)] {
        let Some(last) = listed.last().map(|period| period.from) else { continue };
        for period in added.iter().filter(|period| period.from <= last) {
            passed.push(format!(
                "the {unit} price from {} is passed over: the built-in list has its own, with the last from {last} on; remove \
                 yours, or write what you pay under [[contract]]",
                period.from
            ));
        }
        added.retain(|period| period.from > last);
    }
    extend(&Place(format!("model {name}")), model, own)?;
    Ok(passed)
}

/// Periods follow each other, and a tier's own first day lies in its period.
fn check_order(place: &Place, periods: &[Period]) -> Loaded<()> {
    for pair in periods.windows(2) {
        let at = place.inside(format!("period {}", pair[1].from));
        if pair[0].from == pair[1].from {
            return at.err("two periods begin on this day; keep one");
        }
        if pair[0].from > pair[1].from {
            return at.err(format!("comes after the period of {}; put the periods in order", pair[0].from));
        }
        if let Some((tier, _)) = pair[0].tiers.iter().find(|(_, t)| t.from >= pair[1].from) {
            let at = place.inside(format!("period {}", pair[0].from));
            return at.err(format!("tier_from of {tier} is after the period's end; move the tier to the next period"));
        }
    }
    Ok(())
}

fn usd_period(place: &Place, wire: &wire::UsdPeriod, sources: &BTreeMap<String, String>) -> Loaded<Period> {
    let place = place.inside(format!("period {}", wire.effective_from));
    let from = place.day("effective_from", &wire.effective_from)?;
    let mut tiers = BTreeMap::new();
    for (name, rates) in &wire.short {
        let tier = place.tier(name)?;
        let day = match wire.tier_from.get(name) {
            Some(text) => place.day("tier_from", text)?,
            None => from,
        };
        if day < from {
            return place.err(format!("tier_from of {name} is before the period; leave it out"));
        }
        let long = wire.long.get(name).map(|r| load_rates(&place.inside(format!("long {name}")), r)).transpose()?;
        tiers.insert(tier, TierRates { from: day, short: load_rates(&place.inside(name), rates)?, long });
    }
    if !tiers.contains_key(&ServiceTier::Standard) {
        return place.err("has no standard rates in `short`; add them");
    }
    if let Some(name) = wire.long.keys().chain(wire.tier_from.keys()).find(|name| !wire.short.contains_key(*name)) {
        place.tier(name)?;
        return place.err(format!("names the tier {name}, which has no rates in `short`; add them there"));
    }
    match wire.long_above {
        Some(0) => return place.err("long_above is 0; write the largest input that is still short"),
        None if !wire.long.is_empty() => return place.err("has `long` rates without long_above; add it"),
        _ => {}
    }
    Ok(Period {
        from,
        guaranteed_through: guarantee(&place, from, wire.guaranteed_through.as_deref())?,
        long_above: wire.long_above,
        tiers,
        sources: place.sources(&wire.sources, sources)?,
        notes: wire.notes.iter().cloned().chain(wire.date_basis.iter().map(|b| format!("Day from: {b}."))).collect(),
        disputed: wire.disputed.clone(),
    })
}

fn guarantee(place: &Place, from: Day, text: Option<&str>) -> Loaded<Option<Day>> {
    let Some(last) = text.map(|t| place.day("guaranteed_through", t)).transpose()? else { return Ok(None) };
    if last < from {
        return place.err(format!("guaranteed_through {last} is before the period; correct the day"));
    }
    Ok(Some(last))
}

/// What the list leaves out costs what other input costs.
fn load_rates(place: &Place, wire: &wire::Rates) -> Loaded<Rates> {
    let input = place.price("input", &wire.input, 6)?;
    let or_input = |key, text: &Option<String>| text.as_deref().map_or(Ok(input), |t| place.price(key, t, 6));
    let cached = or_input("cached", &wire.cached)?;
    if cached > input {
        return place.err("cached input costs more than input; check the two rates");
    }
    // Nothing is rated by it, but a figure in the file should be one.
    or_input("write_12h", &wire.write_12h)?;
    Ok([input, cached, or_input("write", &wire.write)?, place.price("output", &wire.output, 6)?])
}

/// Credit rates: no charge of its own for cache writes, no long input, and Fast by its multiplier.
fn credit_period(place: &Place, wire: &wire::CreditPeriod, sources: &BTreeMap<String, String>) -> Loaded<Period> {
    let place = place.inside(format!("period {}", wire.effective_from));
    let from = place.day("effective_from", &wire.effective_from)?;
    let (input, output) = (wire.rates.input.clone(), wire.rates.output.clone());
    let rates = wire::Rates { input, cached: Some(wire.rates.cached.clone()), write: None, write_12h: None, output };
    let short = load_rates(&place, &rates)?;
    let mut tiers = BTreeMap::from([(ServiceTier::Standard, TierRates { from, short, long: None })]);
    if let Some(text) = &wire.fast_multiplier {
        let short = multiply(&place, short, place.price("fast_multiplier", text, 6)?)?;
        tiers.insert(ServiceTier::Priority, TierRates { from, short, long: None });
    }
    Ok(Period {
        from,
        guaranteed_through: guarantee(&place, from, wire.guaranteed_through.as_deref())?,
        long_above: None,
        tiers,
        sources: place.sources(&wire.sources, sources)?,
        notes: wire.notes.iter().cloned().collect(),
        disputed: wire.disputed.clone(),
    })
}

/// Rates times millionths, exactly or not at all.
fn multiply(place: &Place, rates: Rates, millionths: i64) -> Loaded<Rates> {
    let mut product = rates;
    for rate in &mut product {
        let exact = i128::from(*rate) * i128::from(millionths);
        match i64::try_from(exact / 1_000_000) {
            Ok(whole) if exact % 1_000_000 == 0 => *rate = whole,
            _ => return place.err("fast_multiplier gives rates with more than 6 digits; they cannot be kept exactly"),
        }
    }
    Ok(product)
}
