//! Observations to facts: what happened, each thing once, and whose it is. A pure function of a set of observations, so that
//! order, duplicates and the machine do not matter.

mod attempts;
mod channel;
mod halves;
mod owner;
mod pairing;
mod responses;
mod rules;
mod session;
#[cfg(test)]
mod tests;
mod threads;
mod tools;
mod turns;

pub use channel::DefaultChannel;
pub use halves::{other_halves, sought};
pub use session::{Options, sessions, subjects};
pub use threads::roots;
