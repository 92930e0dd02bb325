//! What was billed, as listings.

mod allocated;
mod charges;
mod reconciled;

pub use allocated::{Detail, allocated};
pub use charges::{charges, files};
pub use reconciled::reconciled;
