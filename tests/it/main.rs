//! The integration tests.

mod otlp;
mod support;
