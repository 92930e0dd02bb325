//! What to ask of a provider, and with which key.

use anyhow::bail;
use std::fmt;
use std::time::Duration;

/// A secret that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key without white space around it.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            bail!("it is not a key: one line of printable characters without spaces is");
        }
        Ok(Key(text.to_string()))
    }

    #[cfg(feature = "remote")]
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Pages to read, one after the other.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The origin, for example `https://api.openai.com`. The key is sent nowhere else.
    pub origin: &'a str,
    /// The path.
    pub path: String,
    /// The query of the first page, of plain letters and digits.
    pub query: Vec<(&'static str, String)>,
    /// The key.
    pub key: Key,
    /// How long to wait for each answer.
    pub patience: Duration,
}
