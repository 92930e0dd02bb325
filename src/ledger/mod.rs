//! Facts, price book and rules to ledger lines. A pure function: the same input gives the same lines on every machine.

use crate::attribution;
use crate::model::{Line, LineClass, Observation, SessionFact, Status};
use crate::pricing::PriceBook;

pub use crate::attribution::{DefaultChannel, Options};

/// Everything that reports are made of.
#[derive(Debug, Default)]
pub struct Ledger {
    /// All sessions and auxiliary threads, in order of their start.
    pub sessions: Vec<SessionFact>,
    /// One line for each response, in order of time.
    pub lines: Vec<Line>,
}

/// Builds the ledger of a set of observations.
pub fn build(observations: &[Observation], options: &Options, book: &PriceBook) -> Ledger {
    let sessions = attribution::sessions(observations, options);
    let mut lines: Vec<Line> = sessions.iter().flat_map(|s| &s.responses).map(|r| line(r, book)).collect();
    lines.sort_by(|a, b| {
        let order = |l: &Line| (l.response.time, l.response.thread.clone(), l.response.response_id.clone());
        order(a).cmp(&order(b))
    });
    Ledger { sessions, lines }
}

fn line(response: &crate::model::ResponseFact, book: &PriceBook) -> Line {
    let day = response.time.day();
    let priced = book.price(response.channel, response.model.as_deref(), &response.tier, day, &response.usage);
    Line {
        period: day.period(),
        status: Status::Estimated,
        class: LineClass::Usage,
        corrects_period: None,
        response: response.clone(),
        priced,
    }
}
