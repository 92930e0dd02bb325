//! `teams.toml`: the administrator's rules on who pays, in order. Our own format, so an unknown key is an error with its place.

use crate::model::{Matcher, Rule, Subject};
use anyhow::{Context, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<Wire>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: Option<String>,
    #[serde(default)]
    attribute: BTreeMap<String, String>,
    header: Option<String>,
    email: Option<String>,
    repository: Option<String>,
    directory: Option<String>,
    user: Option<String>,
    team: Option<String>,
    cost_centre: Option<String>,
    project: Option<String>,
}

/// Reads a file of rules. One that was not asked for by name may be missing.
///
/// # Errors
/// It was asked for and cannot be read, or a rule is not understood; the message names its line.
pub fn read_teams(path: &Path, asked_for: bool) -> anyhow::Result<Vec<Rule>> {
    match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !asked_for => Ok(Vec::new()),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
        Ok(text) => parse_teams(&text).with_context(|| format!("{} is not understood", path.display())),
    }
}

/// The rules in a text.
///
/// # Errors
/// A rule is not understood; the message names its line.
pub fn parse_teams(text: &str) -> anyhow::Result<Vec<Rule>> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(e) => bail!("line {}: {}", e.span().map_or(1, |span| line(span.start)), e.message().trim()),
    };
    let (mut rules, mut names) = (Vec::new(), BTreeSet::new());
    for (i, spanned) in file.rule.into_iter().enumerate() {
        let at = line(spanned.span().start);
        let wire = spanned.into_inner();
        let named = wire.name.as_ref().map_or(String::new(), |n| format!(" ({n})"));
        let place = || format!("line {at}, rule {}{named}", i + 1);
        if wire.name.as_ref().is_some_and(|n| !names.insert(n.clone())) {
            bail!("{}: another rule has this name", place());
        }
        rules.push(rule(wire, i + 1).with_context(place)?);
    }
    Ok(rules)
}

fn rule(wire: Wire, number: usize) -> anyhow::Result<Rule> {
    let mut matchers = Vec::new();
    let mut add = |subject: Subject, glob: Option<String>| match glob.as_deref() {
        None => Ok(()),
        Some("") => bail!("{} is empty and would fit nothing; write \"*\" for any", subject.name()),
        Some(glob) => {
            matchers.push(Matcher { subject, glob: glob.to_string() });
            Ok(())
        }
    };
    for (name, glob) in wire.attribute {
        add(Subject::Attribute(name), Some(glob))?;
    }
    add(Subject::Header, wire.header)?;
    add(Subject::Email, wire.email)?;
    add(Subject::Repository, wire.repository)?;
    add(Subject::Directory, wire.directory)?;
    add(Subject::User, wire.user)?;
    let name = value("name", wire.name)?.unwrap_or_else(|| number.to_string());
    let team = value("team", wire.team)?;
    let cost_centre = value("cost_centre", wire.cost_centre)?;
    let project = value("project", wire.project)?;
    if team.is_none() && cost_centre.is_none() && project.is_none() {
        bail!("sets nothing; add team, cost_centre or project");
    }
    Ok(Rule { name, matchers, team, cost_centre, project })
}

fn value(key: &str, text: Option<String>) -> anyhow::Result<Option<String>> {
    match text {
        Some(t) if t.trim().is_empty() || t.trim() != t || t.chars().any(char::is_control) => {
            bail!("{key} {t:?} is empty, has outer space or control characters")
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_keep_their_order_and_names() {
        let rules = parse_teams(
            "[[rule]]\nname = \"api\"\nrepository = \"acme/*\"\nattribute = { \"team.id\" = \"p*\", env = \"ci\" }\nteam = \"platform\"\n\
             \n[[rule]]\ncost_centre = \"CC-1\"\n",
        )
        .unwrap();
        assert_eq!((rules[0].name.as_str(), rules[1].name.as_str()), ("api", "2"));
        let looked: Vec<_> = rules[0].matchers.iter().map(|m| (m.subject.name(), m.glob.as_str())).collect();
        assert_eq!(looked, [("env", "ci"), ("team.id", "p*"), ("repository", "acme/*")]);
        assert!(rules[1].matchers.is_empty());
        assert_eq!(parse_teams("# nothing yet\n").unwrap(), []);
    }

    #[test]
    fn errors_have_their_place() {
        for (text, says) in [
            ("[[rule]]\nuser = \"a\"\n", "line 1, rule 1: sets nothing"),
            (
                "[[rule]]\nteam = \"a\"\n\n[[rule]]\nname = \"x\"\nuser = \"\"\nteam = \"b\"\n",
                "line 4, rule 2 (x): user is empty",
            ),
            ("[[rule]]\nteam = \"a\"\nrepo = \"x\"\n", "line 3: unknown field `repo`"),
            ("[[rule]]\nteam = 5\n", "line 2: invalid type"),
            ("[[rules]]\nteam = \"a\"\n", "unknown field `rules`"),
            ("team = [\n", "line 1: unclosed array"),
            ("[[rule]]\nteam = \" \"\n", "team \" \" is empty"),
            (
                "[[rule]]\nname=\"x\"\nteam=\"a\"\n[[rule]]\nname=\"x\"\nteam=\"b\"\n",
                "line 4, rule 2 (x): another rule",
            ),
        ] {
            let error = format!("{:#}", parse_teams(text).unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_may_be_missing_unless_it_was_asked_for() {
        let path = Path::new("nowhere/teams.toml");
        assert_eq!(read_teams(path, false).unwrap(), []);
        assert!(read_teams(path, true).unwrap_err().to_string().contains("cannot read"));
    }
}
