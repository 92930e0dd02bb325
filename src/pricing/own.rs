//! A user's own price file over the built-in list: more models, other names, providers that are known, and a contract list.

use super::book::{Model, PriceBook};
use super::load::{self, PriceBookError};
use super::rate::{Request, rate};
use crate::model::{Amount, Day, ServiceTier, TokenUsage, Unit};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

impl PriceBook {
    /// This book with what a file adds to it: also later periods of its models. What this book says of a day is never changed; where
    /// it knows better by now, the file's entry is passed over.
    ///
    /// # Errors
    /// The file is not understood, or it contradicts this book.
    pub fn with_own(&self, text: &str) -> Result<PriceBook, PriceBookError> {
        let own = load::load(text, Some(self))?;
        let mut book = self.clone();
        for (name, model) in own.models {
            let place = format!("model {name}");
            no_alias(self, &place, &name)?;
            if let Some(why) = known_as(self, &name) {
                book.passed.push((place, why));
                continue;
            }
            book.unpriced.remove(&name);
            match book.models.get_mut(&name) {
                Some(known) => {
                    let passed = load::extend_builtin(&name, known, model)?;
                    book.passed.extend(passed.into_iter().map(|why| (name.clone(), why)));
                }
                None => drop(book.models.insert(name, model)),
            }
        }
        for (name, reason) in own.unpriced {
            let place = format!("unpriced {name}");
            if book.models.contains_key(&name) {
                book.passed.push((place, "the built-in list has a price of it; remove the entry".to_string()));
                continue;
            }
            no_alias(self, &place, &name)?;
            match known_as(self, &name) {
                Some(why) => book.passed.push((place, why)),
                None => drop(book.unpriced.insert(name, reason)),
            }
        }
        for (alias, target) in own.aliases {
            let place = format!("alias {alias}");
            if self.find(&alias).is_some() {
                let what = "is passed over: the built-in list knows this name itself; remove it";
                book.passed.push((place, what.to_string()));
                continue;
            }
            if book.models.contains_key(&alias) || book.unpriced.contains_key(&alias) {
                return err(place, "hides a model of the same name; remove one of the two");
            }
            // A model that was passed over is what the list says that it is.
            let target = self.model_named(&target).map_or(target.clone(), str::to_string);
            book.aliases.insert(alias, target);
        }
        for (name, fee) in own.fees {
            match self.fees.contains_key(&name) {
                true => book.passed.push((format!("fee {name}"), "the built-in list has it; remove yours".to_string())),
                false => drop(book.fees.insert(name, fee)),
            }
        }
        for (key, source) in own.sources {
            if self.sources.get(&key).is_some_and(|known| *known != source) {
                return err(
                    format!("source {key}"),
                    "the built-in list uses this key for another source; choose another key",
                );
            }
            book.sources.insert(key, source);
        }
        contracts_are_of(&book, self, own.contract.keys())?;
        book.contract = own.contract;
        book.providers.extend(own.providers);
        let both = Sha256::digest(format!("{}{}", self.hash, own.hash).as_bytes());
        book.hash = both.iter().map(|b| format!("{b:02x}")).collect();
        Ok(book)
    }

    /// The providers that a user's own file names, in lower case: the list is known to be theirs too.
    pub fn providers(&self) -> &BTreeSet<String> {
        &self.providers
    }

    /// What of a user's own file the built-in list knows better, and is passed over.
    pub fn passed_over(&self) -> impl Iterator<Item = String> {
        self.passed.iter().map(|(what, why)| format!("{what}: {why}"))
    }

    /// Whether there is a contract list.
    pub fn has_contract(&self) -> bool {
        !self.contract.is_empty()
    }

    /// What a response costs on the contract list, with the rates; `None` if that does not have its model, day, tier or size.
    pub(super) fn on_contract(
        &self,
        model: Option<&str>,
        tier: &ServiceTier,
        day: Day,
        usage: &TokenUsage,
    ) -> Option<(Amount, [i64; 4])> {
        let raw = model?;
        let plain = raw.trim().to_ascii_lowercase();
        let name = self.find(raw).map_or(plain.as_str(), |(found, _)| found.name);
        let prices = self.contract.get(name)?;
        let rated = rate(&prices.usd, Unit::Usd, &Request { model: name, resolved_by: None, tier, day, usage });
        Some((rated.amount.ok()?, rated.rate?.pico_per_token))
    }
}

fn err<T>(place: String, problem: &str) -> Result<T, PriceBookError> {
    Err(PriceBookError { place, problem: problem.to_string() })
}

fn no_alias(base: &PriceBook, place: &str, name: &str) -> Result<(), PriceBookError> {
    match base.aliases.get(name) {
        Some(target) => {
            err(place.to_string(), &format!("the built-in list has it as a name of {target}; choose another"))
        }
        None => Ok(()),
    }
}

/// Whether all of these are models, by the names that the book has.
fn contracts_are_of<'n>(
    book: &PriceBook,
    base: &PriceBook,
    mut names: impl Iterator<Item = &'n String>,
) -> Result<(), PriceBookError> {
    let Some(name) = names.find(|name| !book.models.contains_key(*name) && !book.unpriced.contains_key(*name)) else {
        return Ok(());
    };
    let problem = match base.model_named(name) {
        Some(model) => format!("the built-in list has it as a name of {model}; write the contract of that"),
        None => "no such model; correct the name, or list it under [[model]] or, without a public price, [[unpriced]]"
            .to_string(),
    };
    err(format!("contract {name}"), &problem)
}

/// Why an entry of this name is passed over: its rules lead from it to a model of the list, as from a dated snapshot or the name
/// that a router has.
fn known_as(base: &PriceBook, name: &str) -> Option<String> {
    let (found, _) = base.find(name)?;
    let by = found.by?;
    Some(format!(
        "is passed over: the built-in list knows it as {} ({by}); remove it, or write what you pay under [[contract]] of {0}",
        found.name
    ))
}

/// Checks that contract prices are in USD: credits are sold by no contract list.
pub(super) fn check_contract(contract: &BTreeMap<String, Model>) -> Result<(), PriceBookError> {
    match contract.iter().find(|(_, m)| !m.credits.is_empty() || m.no_credits.is_some()) {
        Some((name, _)) => err(format!("contract {name}"), "contract prices are in USD; remove the credit rates"),
        None => Ok(()),
    }
}
