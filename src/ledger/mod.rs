//! Facts, price book and rules to ledger lines. A pure function: the same input gives the same lines on every machine.

mod rollup;

pub use crate::attribution::{DefaultChannel, Options};
use rollup::rollup;

use crate::attribution;
use crate::model::{Line, LineClass, Observation, ResponseFact, Rollup, SessionFact, Status};
use crate::pricing::PriceBook;

/// All sessions and their lines.
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
    let mut lines: Vec<Line> = sessions.iter().flat_map(|s| &s.responses).map(|r| line(r.clone(), book)).collect();
    lines.sort_by(|a, b| {
        let order = |l: &Line| (l.response.time, l.response.thread.clone(), l.response.response_id.clone());
        order(a).cmp(&order(b))
    });
    Ledger { sessions, lines }
}

/// The rollups of the sessions that these observations tell of.
///
/// # Errors
/// As [`rollup`].
pub fn rollups(observations: &[Observation], options: &Options, book: &PriceBook) -> anyhow::Result<Vec<Rollup>> {
    let sessions = attribution::sessions(observations, options).into_iter();
    let rollup = |mut session: SessionFact| {
        let responses = std::mem::take(&mut session.responses);
        let lines: Vec<Line> = responses.into_iter().map(|r| line(r, book)).collect();
        rollup(&session, &lines, book)
    };
    sessions.map(rollup).collect()
}

fn line(response: ResponseFact, book: &PriceBook) -> Line {
    let day = response.time.day();
    let priced = book.price(response.channel, response.model.as_deref(), &response.tier, day, &response.usage);
    Line {
        period: day.period(),
        status: Status::Estimated,
        class: LineClass::Usage,
        corrects_period: None,
        response,
        priced,
    }
}
