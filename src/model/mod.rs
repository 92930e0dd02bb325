//! The nouns of the ledger. Pure: no clock, environment, file, socket or thread; nothing here knows where data comes from.

mod amount;
mod booked;
mod currency;
mod fact;
mod ids;
mod line;
mod observation;
mod owner;
mod rollup;
mod rule;
mod split;
mod sums;
mod time;
mod usage;
mod zone;

pub use amount::{Amount, ParseAmountError, Unit, format_cents, format_pico, parse_pico, per_million};
pub use booked::{Booked, BookedDetail, BookedPrice, Seal, SealedSession};
pub use currency::{Conversion, Converted, Rate, Rates, USD};
pub use fact::{
    Coverage, Evidence, Outcome, ResponseFact, SessionFact, ThreadFact, ToolCallFact, TurnCostFact, TurnFact, Unmetered,
};
pub use ids::{SourceKind, ThreadId, uuid_v7_millis};
pub use line::{Channel, Line, LineClass, Priced, RateUsed, Status, Unpriced};
pub use observation::{
    Attempt, Body, Context, Key, KeyBuilder, Link, Meta, Observation, Prompt, Response, Sighting, ToolCall, Turn,
    TurnCost, TurnEnd,
};
pub use owner::{Owner, OwnerField, Strength, UNATTRIBUTED};
pub use rollup::{
    CoverageRow, Keys, ReportedRow, Rollup, SessionRollup, Slot, ToolCostRow, ToolRow, Traits, TurnRow, UsageRow,
};
pub use rule::{Days, Matcher, Rule, Rules, SessionSubjects, Subject};
pub use split::{largest_remainder, round_half_even, split};
pub use sums::{Sums, TokenSums};
pub use time::{BillingPeriod, Day, ParsePeriodError, Timestamp};
pub use usage::{Quarantine, ServiceTier, TokenUsage};
pub use zone::{ParseZoneError, Zone};
