//! What charges say of the usage that they are for.

use super::balance::{Book, Cell};
use super::{Dims, Plan, SEARCHES};
use crate::model::{Charge, Day, Method, ReconcileKey};

/// What a charge says of the usage that it is for. Those that say more are less.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// How much of team, user and model it does not say.
    unsaid: usize,
    /// How long it is for.
    length: i64,
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    team: Option<String>,
    user: Option<String>,
    model: Option<String>,
}

impl Key {
    pub fn of(charge: &Charge, book: &Book, plan: &Plan<'_>) -> Self {
        // Tokens are not of searches, which all usage may have made.
        let model = plan.model(charge).filter(|model| book.method != Method::Tokens || model != SEARCHES);
        let (from, to) = (charge.first_day(), charge.last_day());
        Key::new((from, to), plan.team(charge).map(str::to_string), plan.user(charge), model)
    }

    fn new((from, to): (Day, Day), team: Option<String>, user: Option<String>, model: Option<String>) -> Self {
        let unsaid = [&team, &user, &model].iter().filter(|said| said.is_none()).count();
        Key { unsaid, length: to.start().0.saturating_sub(from.start().0), from, to, team, user, model }
    }

    /// The same days and model, whoever used it.
    pub fn of_anyone(&self) -> Self {
        Key::new((self.from, self.to), None, None, self.model.clone())
    }

    pub fn fits(&self, cell: &Cell<'_>) -> bool {
        self.team.as_ref().is_none_or(|team| *team == cell.row.owner[0])
            && self.user.as_ref().is_none_or(|user| *user == cell.user)
            && self.model.as_ref().is_none_or(|model| *model == cell.model)
    }

    /// The comparison that it is part of.
    pub fn within(&self, dims: Dims) -> ReconcileKey {
        ReconcileKey {
            day: dims.day.then_some(self.from),
            team: self.team.clone().filter(|_| dims.team),
            user: self.user.clone().filter(|_| dims.user),
            model: self.model.clone().filter(|_| dims.model),
            tier: None,
        }
    }
}
