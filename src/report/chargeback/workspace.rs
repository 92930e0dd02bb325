//! The part of a statement on ChatGPT workspaces: what was billed, whose it is, and for comparison what the same usage would
//! cost on the API list.

use super::page::{Cell, count, money, table};
use crate::model::{ShareClass, WorkspaceMonth, WorkspaceTeam, round_half_even};
use crate::report::format::{html_text, thousands};
use std::collections::BTreeSet;

/// Digits behind the point of a rate.
const DIGITS: u32 = 6;

/// A section for each workspace: of a team, or of all of them. Nothing if nothing was billed.
pub(super) fn section(workspaces: &[WorkspaceMonth], team: Option<&str>) -> String {
    let one = |workspace: &WorkspaceMonth| {
        let part = match team {
            Some(team) => workspace.teams.get(team).cloned()?,
            None => workspace.teams.values().fold(WorkspaceTeam::default(), |mut all, team| {
                all += team;
                all
            }),
        };
        let mut rows = if team.is_none() { seats(workspace, &part) } else { users(&part) };
        rows.extend(amounts(workspace, &part, team.is_none()));
        let head = [Cell::Text("what".to_string()), Cell::Number("how much".to_string())];
        Some(format!(
            "<section class=\"keep\">\n<h2>ChatGPT workspace {}, as billed</h2>\n{}<p class=\"note\">Billed for the UTC month, and spread \
             over teams by the methods of <code>billing allocate</code> (basis allocated); in no amount above. What is marked as \
             not billed is a comparison and in no amount at all.</p>\n</section>\n",
            html_text(&workspace.account),
            table(&head, &rows, None)
        ))
    };
    workspaces.iter().filter_map(one).collect()
}

fn line(what: impl Into<String>, how_much: impl Into<String>) -> Vec<Cell> {
    vec![Cell::Text(what.into()), Cell::Number(how_much.into())]
}

/// A number of seats: whole ones as such.
fn number(pico: i128) -> String {
    const ONE: i128 = 1_000_000_000_000;
    if pico % ONE == 0 { count(pico / ONE) } else { money(Some(pico)) }
}

fn seats(workspace: &WorkspaceMonth, all: &WorkspaceTeam) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    if let Some(seats) = workspace.seats {
        rows.push(line("Seats", number(seats.0)));
    }
    rows.extend(users(all));
    if workspace.seats.is_some() {
        rows.push(line("… idle seats, used by nobody", number(workspace.idle_seats.0)));
    }
    rows
}

fn users(part: &WorkspaceTeam) -> Vec<Vec<Cell>> {
    let users = |n: usize| thousands(n as u64);
    let mut rows = vec![line("… users with observed usage", users(part.users))];
    if part.users_not_observed > 0 {
        rows.push(line(
            "… users of the workspace's export of whom nothing was observed",
            users(part.users_not_observed),
        ));
    }
    rows
}

fn amounts(workspace: &WorkspaceMonth, part: &WorkspaceTeam, is_all: bool) -> Vec<Vec<Cell>> {
    let credits = |pico: i128| format!("{} credits", money(Some(pico)));
    let mut rows = vec![
        line("Credits drawn", credits(part.credits)),
        line("… of these observed", credits(part.credits - part.credits_not_observed)),
        line("… of these not observed", credits(part.credits_not_observed)),
    ];
    let names = [
        (true, ShareClass::Allocated, "Seats in use"),
        (true, ShareClass::NotObserved, "Seats of users of whom nothing was observed"),
        (true, ShareClass::Idle, "Idle seats"),
        (false, ShareClass::Allocated, "Credit packs, overage and all else, by use"),
        (false, ShareClass::NotObserved, "Credit packs, overage and all else, use that was not observed"),
    ];
    for (is_seat, class, name) in names {
        let of = part.money.iter().filter(|((_, seat, of), _)| (*seat, *of) == (is_seat, class));
        rows.extend(of.map(|((currency, ..), pico)| line(name, format!("{} {currency}", money(Some(*pico))))));
    }
    rows.extend(if is_all { rates(workspace) } else { Vec::new() });
    let equivalent = format!("{} USD, not billed", money(Some(part.api_equivalent)));
    rows.push(line("For comparison: the observed usage on the API list", equivalent));
    rows
}

/// What a credit cost, of all that was billed and without seats.
fn rates(workspace: &WorkspaceMonth) -> Vec<Vec<Cell>> {
    let drawn: i128 = workspace.teams.values().map(|team| team.credits).sum();
    let all = || workspace.teams.values().flat_map(|team| &team.money);
    let currencies: BTreeSet<_> = all().map(|((currency, ..), _)| currency).collect();
    let mut rows = Vec::new();
    for currency in currencies {
        for (name, with_seats) in [("Effective rate per credit, all that was billed", true), ("… without seats", false)]
        {
            let of = all().filter(|((of, seat, _), _)| of == currency && (with_seats || !seat));
            let billed: i128 = of.map(|(_, pico)| pico).sum();
            let rate = ratio(billed, drawn).map_or_else(
                || "no credits were drawn".to_string(),
                |rate| format!("{} {currency} / {} = {rate} {currency}", money(Some(billed)), money(Some(drawn))),
            );
            rows.push(line(name, rate));
        }
    }
    rows
}

/// One number by another, rounded once, half to even.
fn ratio(of: i128, by: i128) -> Option<String> {
    if by <= 0 {
        return None;
    }
    let rounded = round_half_even(of.checked_mul(10i128.pow(DIGITS))?, by) / by;
    let (sign, abs, scale) = (if rounded < 0 { "-" } else { "" }, rounded.unsigned_abs(), 10u128.pow(DIGITS));
    Some(format!("{sign}{}.{:0width$}", abs / scale, abs % scale, width = DIGITS as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_once() {
        assert_eq!(ratio(100, 3).as_deref(), Some("33.333333"));
        assert_eq!(ratio(2, 3).as_deref(), Some("0.666667"));
        assert_eq!(ratio(-1, 8).as_deref(), Some("-0.125000"));
        assert_eq!((ratio(1, 0), ratio(0, 7).as_deref()), (None, Some("0.000000")));
        assert_eq!(ratio(140_000_000_000_000, 1_701_500_000_000).as_deref(), Some("82.280341"));
    }
}
