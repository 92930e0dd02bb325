//! The integration tests.

mod house;
