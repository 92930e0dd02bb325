//! What was billed, as listings.

mod allocated;
mod charges;

pub use allocated::{Detail, allocated};
pub use charges::{charges, files};
