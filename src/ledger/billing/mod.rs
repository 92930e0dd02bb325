//! Bills beside what was observed: charges spread over owners, and the differences explained. Pure.

mod allocate;
mod balance;
mod dims;
mod flow;
mod key;
mod lacking;
mod observed;
mod reconcile;
mod seats;
#[cfg(test)]
mod tests;
mod tokens;
mod workspaces;

pub use allocate::allocate;
pub use observed::{Observed, ObservedRow};
pub use reconcile::{Reconciliation, reconcile};
pub use workspaces::workspaces;

use crate::model::{BillingSource, Channel, Charge, ChargeKind, Method, Rules, UNATTRIBUTED};
use crate::pricing::PriceBook;
use dims::Dims;
use std::collections::BTreeMap;

/// What is known beside bills and usage.
#[derive(Debug)]
pub struct Plan<'p> {
    /// The method for all charges, if the user asks for one.
    pub method: Option<Method>,
    /// The method by kind of charge, where it is not the usual one.
    pub methods: &'p BTreeMap<ChargeKind, Method>,
    /// The weights of teams for the method `fixed`.
    pub fixed: &'p BTreeMap<String, u32>,
    /// The teams of the provider's projects.
    pub projects: &'p BTreeMap<String, String>,
    /// The teams of API keys.
    pub api_keys: &'p BTreeMap<String, String>,
    /// Who the provider's user ids are.
    pub users: &'p BTreeMap<String, String>,
    /// Who is in which team.
    pub rules: &'p Rules,
    /// What regional processing costs more, in percent.
    pub region_uplift_percent: u8,
    /// Whose names of models are used.
    pub book: &'p PriceBook,
}

impl Plan<'_> {
    /// The method for a charge.
    pub fn method(&self, charge: &Charge) -> Method {
        let usual = || match charge.kind {
            ChargeKind::Seat => Method::Seats,
            _ if charge.channel == Channel::Chatgpt => Method::Credits,
            _ => Method::List,
        };
        self.method.or_else(|| self.methods.get(&charge.kind).copied()).unwrap_or_else(usual)
    }

    /// The team that the configuration says pays for a charge's key or project.
    pub fn team(&self, charge: &Charge) -> Option<&str> {
        let by_key = charge.api_key.as_ref().and_then(|key| self.api_keys.get(key));
        let by_project = || charge.project.as_ref().and_then(|project| self.projects.get(project));
        by_key.or_else(by_project).map(String::as_str)
    }

    /// The user of a charge, as reports name users; in lower case.
    pub fn user(&self, charge: &Charge) -> Option<String> {
        let known = charge.user.as_ref().and_then(|user| self.users.get(user));
        known.or(charge.email.as_ref()).map(|user| user.to_lowercase())
    }

    /// The model of a charge: its own, else one that its line item names. Of line items that name none, those of searches are of
    /// hosted tools, and others are what they say: nothing that was observed.
    pub fn model(&self, charge: &Charge) -> Option<String> {
        if let Some(model) = &charge.model {
            return Some(self.model_name(model));
        }
        let item = charge.line_item.as_deref().filter(|_| charge.source == BillingSource::Costs)?;
        let named = item.split([',', '|', ':', ' ']).find_map(|word| self.book.model_named(word));
        let is_search = item.to_ascii_lowercase().contains("search");
        Some(named.unwrap_or(if is_search { SEARCHES } else { item }).to_string())
    }

    /// The name of a model in the price book; as it is if that does not have it.
    pub fn model_name(&self, raw: &str) -> String {
        self.book.model_named(raw).unwrap_or(raw).to_string()
    }

    /// The owner of what a user did and nothing was observed of, as the list of members has it.
    fn owner_of(&self, charge: &Charge) -> [String; 4] {
        let user = self.user(charge);
        let rows = user.as_ref().and_then(|user| self.rules.members.get(user));
        let row = rows.and_then(|rows| rows.iter().find(|row| row.days.has(charge.first_day())));
        let team = self.team(charge).map(str::to_string).or_else(|| row.and_then(|row| row.team.clone()));
        let cost_centre = row.and_then(|row| row.cost_centre.clone());
        let or_nobody = |value: Option<String>| value.unwrap_or_else(|| UNATTRIBUTED.to_string());
        [or_nobody(team), or_nobody(cost_centre), UNATTRIBUTED.to_string(), or_nobody(user)]
    }
}

/// What fees of hosted tools are held against, where usage is by model.
const SEARCHES: &str = "web_search";

/// The owner of what nobody owns.
fn nobody() -> [String; 4] {
    [UNATTRIBUTED; 4].map(str::to_string)
}
