//! Billed amounts spread over owners.

use super::{Charge, Money, Pico};
use serde::Deserialize;

/// How a charge is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By ChatGPT credits on the public list.
    Credits,
    /// By the public list: API usage in USD; ChatGPT usage by what it would cost on the API list.
    List,
    /// By tokens.
    Tokens,
    /// By seats: one for each user.
    Seats,
    /// By the weights of the configuration.
    Fixed,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 5] = [Method::Credits, Method::List, Method::Tokens, Method::Seats, Method::Fixed];

    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Method::Credits => "credits",
            Method::List => "list",
            Method::Tokens => "tokens",
            Method::Seats => "seats",
            Method::Fixed => "fixed",
        }
    }
}

/// Why a share is somebody's, or nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShareClass {
    /// The owner's part by the method.
    Allocated,
    /// Seats that nobody used.
    Idle,
    /// Usage that was billed and not observed.
    NotObserved,
}

impl ShareClass {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            ShareClass::Allocated => "allocated",
            ShareClass::Idle => "idle",
            ShareClass::NotObserved => "not_observed",
        }
    }
}

/// A part of a charge. The parts of a charge add up to it, to the last unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// How it was spread.
    pub method: Method,
    /// Why it is whose it is.
    pub class: ShareClass,
    /// Team, cost centre, project and user.
    pub owner: [String; 4],
    /// The part of the amount in money.
    pub money: Option<Money>,
    /// The part of the amount in credits.
    pub credits: Option<Pico>,
}

/// A charge of a month and whose it is; basis `allocated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    /// The month's part of the charge.
    pub charge: Charge,
    /// Its shares, in the order of their owners.
    pub shares: Vec<Share>,
}
