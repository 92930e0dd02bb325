//! What statements say of ChatGPT workspaces.

use super::seats::{SEAT, Seats};
use super::{Observed, Plan};
use crate::model::{Allocated, Bill, Channel, ChargeKind, Pico, ShareClass, WorkspaceMonth, WorkspaceTeam};
use std::collections::{BTreeMap, BTreeSet};

/// The workspaces of a month's allocated charges. Which of several workspaces observed usage is of is not known: users and the
/// API equivalent stand with each.
pub fn workspaces(bill: &Bill, all: &[Allocated], observed: &Observed, plan: &Plan<'_>) -> Vec<WorkspaceMonth> {
    let mut made: BTreeMap<&str, WorkspaceMonth> = BTreeMap::new();
    for one in all.iter().filter(|one| one.charge.channel == Channel::Chatgpt) {
        let charge = &one.charge;
        let workspace = made.entry(&charge.account).or_default();
        workspace.account.clone_from(&charge.account);
        let is_seat = charge.kind == ChargeKind::Seat;
        // A seat with a name is one, whether its row has a quantity or not. Those without are counted together below.
        if is_seat && plan.user(charge).is_some() {
            let seats = charge.quantity.as_ref().map_or(SEAT, |quantity| quantity.pico.0);
            workspace.seats.get_or_insert_default().0 += seats;
        }
        for share in &one.shares {
            let team = workspace.teams.entry(share.owner[0].clone()).or_default();
            if let (ChargeKind::Usage, Some(credits)) = (charge.kind, share.credits) {
                team.credits += credits.0;
                team.credits_not_observed += if share.class == ShareClass::NotObserved { credits.0 } else { 0 };
            }
            if let Some(money) = &share.money {
                *team.money.entry((money.currency.clone(), is_seat, share.class)).or_default() += money.pico.0;
            }
        }
    }
    let seats = Seats::of(bill, observed, plan);
    let of_teams = usage(observed);
    for workspace in made.values_mut() {
        for (team, (users, api_equivalent)) in &of_teams {
            let of_team = workspace.teams.entry(team.clone()).or_default();
            (of_team.users, of_team.api_equivalent) = (users.len(), *api_equivalent);
        }
        for team in seats.not_observed(&workspace.account, plan) {
            workspace.teams.entry(team).or_default().users_not_observed += 1;
        }
        if let Some(bought) = seats.bought(&workspace.account) {
            workspace.seats.get_or_insert_default().0 += bought;
        }
        let charges = all.iter().map(|one| &one.charge);
        workspace.idle_seats = Pico(seats.idle(&workspace.account, charges, plan));
        workspace.teams.retain(|_, team| *team != WorkspaceTeam::default());
    }
    made.into_values().collect()
}

/// The users of each team with observed usage, and what that would cost on the API list.
fn usage(observed: &Observed) -> BTreeMap<String, (BTreeSet<String>, i128)> {
    let mut teams: BTreeMap<String, (BTreeSet<String>, i128)> = BTreeMap::new();
    for (_, row) in observed.month(Channel::Chatgpt) {
        let (users, api_equivalent) = teams.entry(row.owner[0].clone()).or_default();
        users.insert(row.owner[3].to_lowercase());
        *api_equivalent += row.api_equivalent;
    }
    teams
}
