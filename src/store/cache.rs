//! What a store keeps of computed sessions, so that a report need not compute them again. Dropping it loses nothing.

use crate::model::{BillingPeriod, Observation, Rollup, Seal, SealedSession, ThreadId, Timestamp};

/// What a thread is marked with while the cache does not know of its latest observations; each mark is given once.
pub type Mark = Option<i64>;

/// A thread and its mark at the moment at which its observations were about to be read.
pub type Seen = (ThreadId, Mark);

/// The first and the last moment of some time.
pub type Times = (Timestamp, Timestamp);

/// The cache of sessions in a store.
pub trait Cache {
    /// What the cached sessions were computed with; `None` of an empty cache.
    fn computed_with(&self) -> anyhow::Result<Option<Vec<u8>>>;

    /// Drops everything, to be computed anew with something else.
    fn reset(&mut self, inputs: &[u8]) -> anyhow::Result<()>;

    /// How many threads are marked.
    fn dirty(&self) -> anyhow::Result<u64>;

    /// Marked threads behind this one, in the order of their ids.
    fn dirty_after(&self, after: Option<&ThreadId>, most: usize) -> anyhow::Result<Vec<ThreadId>>;

    /// Of threads and sessions by their ids: the threads that are stored, and all that the cache has in the same sessions.
    fn family(&self, ids: &[ThreadId]) -> anyhow::Result<Vec<ThreadId>>;

    /// The marks of threads.
    fn marks(&self, threads: Vec<ThreadId>) -> anyhow::Result<Vec<Seen>>;

    /// Threads that may be halves of one: those whose ids were made in one of these times, and those of which no transcript tells and
    /// in which a turn that hooks tell of began in one of those.
    fn halves(&self, made: &[Times], hooked: &[Times]) -> anyhow::Result<Vec<ThreadId>>;

    /// The observations of threads.
    fn observations_of(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<Observation>>;

    /// Puts sessions in the place of all that had any of these threads or these ids, and takes the marks away. Returns false, and changes
    /// nothing, if something else came in between: other marks, other members, other inputs.
    fn replace(&mut self, inputs: &[u8], seen: &[Seen], sessions: &[Rollup]) -> anyhow::Result<bool>;

    /// Gives each cached session that may have something of this time, encoded, to `each`. Returns false, and gives nothing, if
    /// they were computed with something else.
    fn rollups(
        &self,
        inputs: &[u8],
        span: (Timestamp, Timestamp),
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool>;

    /// The sessions that have this as their id, else that have threads whose ids begin with it, else contain it; no more than
    /// `most`, in the order of their ids.
    fn sessions_like(&self, part: &str, most: usize) -> anyhow::Result<Vec<ThreadId>>;

    /// The session that began last.
    fn last_session(&self) -> anyhow::Result<Option<ThreadId>>;

    /// How many threads are stored.
    fn threads(&self) -> anyhow::Result<u64>;

    /// Threads behind this one, in the order of their ids.
    fn threads_after(&self, after: Option<&ThreadId>, most: usize) -> anyhow::Result<Vec<ThreadId>>;

    /// The ids of all cached sessions.
    fn sessions(&self) -> anyhow::Result<Vec<ThreadId>>;

    /// All sealed months, in their order.
    fn seals(&self) -> anyhow::Result<Vec<Seal>>;

    /// The months of which something sealed is stored, whether their seals are there or not.
    fn sealed_periods(&self) -> anyhow::Result<Vec<BillingPeriod>>;

    /// What was sealed of the sessions that any of these threads was in then, in the order of months.
    fn sealed_of(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<SealedSession>>;

    /// The ids of these sealed sessions, and of all threads that were in them.
    fn sealed_with(&self, threads: &[ThreadId]) -> anyhow::Result<Vec<ThreadId>>;

    /// The sessions of a sealed month behind this one, in the order of their ids.
    fn sealed_after(
        &self,
        period: BillingPeriod,
        after: Option<&ThreadId>,
        most: usize,
    ) -> anyhow::Result<Vec<SealedSession>>;

    /// Cached sessions behind this one that may have something of this time, in the order of their ids.
    fn sessions_after(
        &self,
        span: (Timestamp, Timestamp),
        after: Option<&ThreadId>,
        most: usize,
    ) -> anyhow::Result<Vec<ThreadId>>;

    /// When the first session began.
    fn first_moment(&self) -> anyhow::Result<Option<Timestamp>>;

    /// Does something while nobody else can write, and keeps it only if it succeeds.
    fn alone(&mut self, work: &mut dyn FnMut(&mut dyn Cache) -> anyhow::Result<()>) -> anyhow::Result<()>;

    /// Adds a session to a month that is being sealed.
    fn add_sealed(&mut self, session: &SealedSession) -> anyhow::Result<()>;

    /// Seals a month, for ever.
    fn add_seal(&mut self, seal: &Seal) -> anyhow::Result<()>;

    /// The encoded rollup of a session.
    fn cached(&self, session: &ThreadId) -> anyhow::Result<Option<Vec<u8>>>;
}
