//! How users are known in a home: said in `config.toml`, and kept with the key of pseudonyms in `user.key`, which is all that a hook
//! looks at. Where users are known by name and always were, there is no such file.

use crate::model::Users;
use anyhow::Context as _;
use serde::Deserialize;
use std::io::{ErrorKind, Write};
use std::path::Path;

const FILE: &str = "user.key";

/// How users are known, as the configuration names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserPrivacy {
    /// By name.
    #[default]
    Plain,
    /// By a keyed hash.
    Pseudonym,
    /// Not at all.
    Off,
}

impl UserPrivacy {
    fn word(self) -> &'static str {
        match self {
            UserPrivacy::Plain => "plain",
            UserPrivacy::Pseudonym => "pseudonym",
            UserPrivacy::Off => "off",
        }
    }

    fn with(self, key: &str) -> Users {
        match self {
            UserPrivacy::Plain => Users::Plain,
            UserPrivacy::Pseudonym => Users::Pseudonym(key.to_string()),
            UserPrivacy::Off => Users::Off,
        }
    }
}

/// How users are known in a home from now on. The key is made when it is first needed, and stays.
///
/// # Errors
/// The file cannot be read or written, or holds something else.
pub fn users(home: &Path, wanted: UserPrivacy) -> anyhow::Result<Users> {
    let path = home.join(FILE);
    let work = || -> anyhow::Result<Users> {
        let (said, key) = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text)
                .context("it is not as it was written; without its key old pseudonyms cannot be made again")?,
            Err(e) if e.kind() == ErrorKind::NotFound && wanted == UserPrivacy::Plain => return Ok(Users::Plain),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let mut random = [0; 32];
                getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
                let key: String = random.iter().map(|b| format!("{b:02x}")).collect();
                let written = write(home, wanted, &key)?.persist_noclobber(&path);
                if written.is_ok() {
                    return Ok(wanted.with(&key));
                }
                // Another process was first, and its key is the one.
                parse(&std::fs::read_to_string(&path)?).context("it is not as it was written")?
            }
            Err(e) => return Err(e.into()),
        };
        if said != wanted {
            write(home, wanted, &key)?.persist(&path)?;
        }
        Ok(wanted.with(&key))
    };
    work().with_context(|| format!("cannot use {}", path.display()))
}

/// How a hook knows users: one look. What it does not understand it takes for the strictest.
pub fn users_of_hook(home: &Path) -> Users {
    match std::fs::read_to_string(home.join(FILE)) {
        Err(e) if e.kind() == ErrorKind::NotFound => Users::Plain,
        Err(_) => Users::Off,
        Ok(text) => parse(&text).map_or(Users::Off, |(said, key)| said.with(&key)),
    }
}

fn parse(text: &str) -> Option<(UserPrivacy, String)> {
    let (word, key) = text.trim_end().split_once(' ')?;
    let all = [UserPrivacy::Plain, UserPrivacy::Pseudonym, UserPrivacy::Off];
    let said = all.into_iter().find(|privacy| privacy.word() == word)?;
    (key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit())).then(|| (said, key.to_string()))
}

/// A whole file, private to the user, that is still to take its place.
fn write(home: &Path, privacy: UserPrivacy, key: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new_in(home)?;
    file.write_all(format!("{} {key}\n", privacy.word()).as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_the_hook_knows() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(users(home, UserPrivacy::Plain).unwrap(), Users::Plain);
        assert!(!home.join(FILE).exists() && users_of_hook(home) == Users::Plain);
        let first = users(home, UserPrivacy::Pseudonym).unwrap();
        assert!(matches!(&first, Users::Pseudonym(key) if key.len() == 64));
        assert_eq!(users_of_hook(home), first);
        for (privacy, known) in [(UserPrivacy::Off, Users::Off), (UserPrivacy::Plain, Users::Plain)] {
            assert_eq!(users(home, privacy).unwrap(), known);
            assert_eq!(users_of_hook(home), known);
        }
        assert_eq!(users(home, UserPrivacy::Pseudonym).unwrap(), first, "the same key as before");
        std::fs::write(home.join(FILE), "pseudonym\n").unwrap();
        assert!(users(home, UserPrivacy::Pseudonym).is_err());
        assert_eq!(users_of_hook(home), Users::Off);
    }
}
