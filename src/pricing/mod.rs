//! The price book: dated list prices, their checks, their lookup, and what a response costs. Pure: the text, the day and
//! the usage are arguments.
//!
//! A price is never guessed: what the book does not have is [`Unpriced`](crate::model::Unpriced) with its reason, and a
//! model name leads to a price by a listed name or an explicit rule only.

mod append;
mod book;
mod describe;
mod findings;
mod load;
mod offers;
mod own;
mod rate;
mod resolve;
mod update;
mod wire;

pub use book::{CallFee, PriceBook};
pub use describe::{DescribeError, PriceRow};
pub use findings::{Finding, Level};
pub use load::PriceBookError;
pub use offers::{Offers, PUBLISHED};
pub use update::{Asked, Entry, Feed, Outcome, Update, compare};

#[cfg(test)]
mod tests;
