//! A ChatGPT workspace's month: what was billed for it, and whose it is.

use super::{Currency, Pico, ShareClass};
use std::collections::BTreeMap;

/// One workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceMonth {
    /// The account.
    pub account: String,
    /// How many seats were billed; nothing if no row says.
    pub seats: Option<Pico>,
    /// How many of them nobody used.
    pub idle_seats: Pico,
    /// What was billed, by team; what nobody owns and idle seats are of `unattributed`.
    pub teams: BTreeMap<String, WorkspaceTeam>,
}

/// A team's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceTeam {
    /// How many users have observed usage.
    pub users: usize,
    /// How many more the workspace's export has.
    pub users_not_observed: usize,
    /// Credits that were drawn, in pico-credits.
    pub credits: i128,
    /// Those of them that were not observed.
    pub credits_not_observed: i128,
    /// Amounts in money by currency, whether they are for seats, and class.
    pub money: BTreeMap<(Currency, bool, ShareClass), i128>,
    /// What the observed usage would cost on the API list, in pico-USD; billed by nobody.
    pub api_equivalent: i128,
}

impl std::ops::AddAssign<&WorkspaceTeam> for WorkspaceTeam {
    fn add_assign(&mut self, o: &WorkspaceTeam) {
        self.users += o.users;
        self.users_not_observed += o.users_not_observed;
        self.credits += o.credits;
        self.credits_not_observed += o.credits_not_observed;
        self.api_equivalent += o.api_equivalent;
        o.money.iter().for_each(|(key, pico)| *self.money.entry(key.clone()).or_default() += pico);
    }
}
