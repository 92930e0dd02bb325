//! The integration tests.

mod otlp;
mod sink;
mod support;
