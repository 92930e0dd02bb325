//! What was billed, as listings.

mod charges;

pub use charges::{charges, files};
