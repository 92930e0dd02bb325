//! `[[sink_token]]` in the configuration: who else may send, and who pays for what they send. Only hashes of tokens are written
//! there, so that whoever reads the file can send nothing in the name of others.

use super::members::value;
use crate::model::Rule;
use anyhow::{Context, bail};
use serde::Deserialize;
use std::collections::BTreeSet;

/// A token of the sink with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkToken {
    /// The name that is kept with what it delivers.
    pub name: String,
    /// The SHA-256 of the token in hexadecimal digits, of several while it is changed; without any nobody is let in.
    sha256: Vec<String>,
    team: Option<String>,
    cost_centre: Option<String>,
    project: Option<String>,
    user: Option<String>,
}

impl SinkToken {
    /// The hashes of the token.
    pub fn hashes(&self) -> impl Iterator<Item = [u8; 32]> {
        self.sha256.iter().filter_map(|text| bytes(text))
    }

    /// What it says of who pays.
    pub fn owner(&self) -> Rule {
        let (team, cost_centre) = (self.team.clone(), self.cost_centre.clone());
        let (project, user) = (self.project.clone(), self.user.clone());
        Rule { name: self.name.clone(), team, cost_centre, project, user, ..Rule::default() }
    }
}

/// Checks that names and hashes are what they should be, and each there once.
pub(super) fn check_tokens(tokens: &[SinkToken]) -> anyhow::Result<()> {
    let (mut names, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    for (i, token) in tokens.iter().enumerate() {
        let place = || format!("sink_token {} ({})", i + 1, token.name);
        value("name", token.name.clone()).with_context(place)?;
        if !names.insert(token.name.as_str()) {
            bail!("{}: another one has this name", place());
        }
        let owner = [("team", &token.team), ("cost_centre", &token.cost_centre)];
        let owner = owner.into_iter().chain([("project", &token.project), ("user", &token.user)]);
        for (key, text) in owner {
            text.clone().map(|text| value(key, text)).transpose().with_context(place)?;
        }
        for text in &token.sha256 {
            match bytes(text) {
                None => bail!(
                    "{}: sha256 `{text}` is not 64 hexadecimal digits; `printf %s TOKEN | sha256sum` prints them",
                    place()
                ),
                Some(hash) if !hashes.insert(hash) => bail!("{}: another one has this sha256", place()),
                Some(_) => {}
            }
        }
    }
    Ok(())
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<SinkToken>> {
        #[derive(Deserialize)]
        struct File {
            sink_token: Vec<SinkToken>,
        }
        let file: File = toml::from_str(text)?;
        check_tokens(&file.sink_token)?;
        Ok(file.sink_token)
    }

    #[test]
    fn tokens_are_read_strictly() {
        let hash = "0A".repeat(32);
        let text = format!(
            "[[sink_token]]\nname = \"ci\"\nsha256 = [\"{hash}\"]\nteam = \"platform\"\n[[sink_token]]\nname = \"old\"\n"
        );
        let tokens = read(&text).unwrap();
        assert_eq!(tokens[0].hashes().collect::<Vec<_>>(), [[10; 32]]);
        assert_eq!((tokens[0].owner().team.as_deref(), tokens[1].hashes().count()), (Some("platform"), 0));
        for (text, says) in [
            ("[[sink_token]]\n".to_string(), "name \"\" is empty"),
            ("[[sink_token]]\nname = \"a\"\ntoken = \"x\"\n".into(), "unknown field `token`"),
            ("[[sink_token]]\nname = \"a\"\nsha256 = [\"ab\"]\n".into(), "is not 64 hexadecimal digits"),
            (format!("[[sink_token]]\nname = \"a\"\nsha256 = [\"{}\"]\n", "é".repeat(32)), "is not 64"),
            ("[[sink_token]]\nname = \"a\"\nteam = \"\"\n".into(), "team \"\" is empty"),
            ("[[sink_token]]\nname = \"a\"\n[[sink_token]]\nname = \"a\"\n".into(), "sink_token 2 (a): another one"),
            (format!("{text}sha256 = [\"{}\"]\n", hash.to_lowercase()), "another one has this sha256"),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
