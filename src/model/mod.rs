//! The nouns of the ledger. Pure: no clock, environment, file, socket or thread; nothing here knows where data comes from.

mod allocation;
mod amount;
mod bill;
mod booked;
mod charge;
mod content;
mod currency;
mod details;
mod fact;
mod ids;
mod line;
mod observation;
mod owner;
mod pico;
mod reconciled;
mod rollup;
mod rule;
mod split;
mod sums;
mod time;
mod usage;
mod users;
mod workspace;
mod zone;

pub use allocation::{Allocated, Method, Share, ShareClass};
pub use amount::{Amount, ParseAmountError, Unit, format_cents, format_pico, parse_pico, per_million};
pub use bill::{Bill, BillingFile, Covered, Standing};
pub use booked::{Booked, BookedDetail, BookedPrice, Posting, Seal, SealedSession};
pub use charge::{BillingSource, Charge, ChargeId, ChargeKind, Currency, Money, Origin, Quantity};
pub use content::{Capture, Content, ContentKind};
pub use currency::{Conversion, Converted, Rate, Rates, USD};
pub use details::Unlike;
pub use fact::{
    Cost, Coverage, Evidence, Outcome, ResponseFact, SessionFact, ThreadFact, ToolCallFact, TurnCostFact, TurnFact,
    Unmetered,
};
pub use ids::{SourceKind, ThreadId, uuid_v7_millis};
pub use line::{Channel, Line, LineClass, Priced, RateUsed, Status, Unpriced};
pub use observation::{
    Attempt, Body, Context, Key, KeyBuilder, Link, Meta, Observation, Prompt, Response, Sighting, ToolCall, Turn,
    TurnCost, TurnEnd,
};
pub use owner::{Owner, OwnerField, Strength, UNATTRIBUTED};
pub use pico::Pico;
pub use reconciled::{Difference, Measured, ReconcileKey, Reconciled};
pub use rollup::{
    CoverageRow, Keys, Labels, ReportedRow, Rollup, SessionRollup, Slot, ToolCostRow, ToolRow, Traits, TurnRow,
    UnmeteredRow, UsageRow,
};
pub use rule::{Days, Matcher, Rule, Rules, SessionSubjects, Subject};
pub use split::{CENT, cents_of_total, largest_remainder, round_half_even, split};
pub use sums::{Sums, TokenSums};
pub use time::{BillingPeriod, Day, ParsePeriodError, Timestamp};
pub use usage::{Quarantine, ServiceTier, TokenUsage};
pub use users::Users;
pub use workspace::{WorkspaceMonth, WorkspaceTeam};
pub use zone::{ParseZoneError, Zone};
