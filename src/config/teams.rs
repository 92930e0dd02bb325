//! `teams.toml`: the administrator's rules on who pays, in order. Our own format, so an unknown key is an error with its place.

use super::members::{parse_days, parse_members, value};
use crate::model::{Matcher, Rule, Rules, Subject};
use anyhow::{Context, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The largest weight of a share.
const MAX_WEIGHT: u64 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    members: Option<PathBuf>,
    #[serde(default)]
    rule: Vec<Spanned<Wire>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    attribute: BTreeMap<String, String>,
    credential: Option<String>,
    header: Option<String>,
    email: Option<String>,
    account: Option<String>,
    repository: Option<String>,
    directory: Option<String>,
    host: Option<String>,
    environment: Option<String>,
    client: Option<String>,
    provider: Option<String>,
    user: Option<String>,
    team: Option<String>,
    shares: Option<BTreeMap<String, i64>>,
    cost_centre: Option<String>,
    project: Option<String>,
    set_user: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads a file of rules, and the list of members that it names. One that was not asked for by name may be missing.
///
/// # Errors
/// It was asked for and cannot be read, or something in it is not understood; the message names its line.
pub fn read_teams(path: &Path, asked_for: bool) -> anyhow::Result<Rules> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !asked_for => return Ok(Rules::default()),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let (rules, members) = parse_teams(&text).with_context(|| format!("{} is not understood", path.display()))?;
    let Some(members) = members else { return Ok(Rules { rules, ..Rules::default() }) };
    let file = path.parent().map_or(members.clone(), |folder| folder.join(&members));
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = members.file_name().unwrap_or(members.as_os_str()).display().to_string();
    let members = parse_members(&name, &text).with_context(|| format!("{} is not understood", file.display()))?;
    Ok(Rules { rules, members, ..Rules::default() })
}

/// The rules in a text, and the path of the list of members as it stands there.
fn parse_teams(text: &str) -> anyhow::Result<(Vec<Rule>, Option<PathBuf>)> {
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
    Ok((rules, file.members))
}

fn rule(mut wire: Wire, number: usize) -> anyhow::Result<Rule> {
    let matchers = matchers(&mut wire)?;
    let shares = shares(wire.shares)?;
    let mut labels = BTreeMap::new();
    for (name, text) in wire.labels {
        let name = value("the name of a label,", name)?;
        labels.insert(name.clone(), value(&format!("label {name}"), text)?);
    }
    let some = |key: &str, text: Option<String>| text.map(|text| value(key, text)).transpose();
    let rule = Rule {
        name: some("name", wire.name)?.unwrap_or_else(|| number.to_string()),
        matchers,
        days: parse_days(wire.from.as_deref(), wire.to.as_deref())?,
        team: some("team", wire.team)?,
        shares,
        cost_centre: some("cost_centre", wire.cost_centre)?,
        project: some("project", wire.project)?,
        user: some("set_user", wire.set_user)?,
        labels,
    };
    if rule.team.is_some() && !rule.shares.is_empty() {
        bail!("sets both team and shares; leave one out");
    }
    let texts = [&rule.team, &rule.cost_centre, &rule.project, &rule.user];
    if texts.iter().all(|text| text.is_none()) && rule.shares.is_empty() && rule.labels.is_empty() {
        bail!("sets nothing; add team, shares, cost_centre, project, set_user or labels");
    }
    Ok(rule)
}

fn matchers(wire: &mut Wire) -> anyhow::Result<Vec<Matcher>> {
    let attributes = std::mem::take(&mut wire.attribute).into_iter();
    let attributes = attributes.map(|(name, glob)| (Subject::Attribute(name), Some(glob)));
    let others = [
        (Subject::Credential, wire.credential.take()),
        (Subject::Header, wire.header.take()),
        (Subject::Email, wire.email.take()),
        (Subject::Account, wire.account.take()),
        (Subject::Repository, wire.repository.take()),
        (Subject::Directory, wire.directory.take()),
        (Subject::Host, wire.host.take()),
        (Subject::Environment, wire.environment.take()),
        (Subject::Client, wire.client.take()),
        // What is looked at is in lower case.
        (Subject::Provider, wire.provider.take().map(|glob| glob.to_ascii_lowercase())),
        (Subject::User, wire.user.take()),
    ];
    let matcher = |(subject, glob): (Subject, Option<String>)| match glob {
        Some(glob) if glob.is_empty() => {
            Some(Err(anyhow::anyhow!("{} is empty and would fit nothing; write \"*\" for any", subject.name())))
        }
        glob => glob.map(|glob| Ok(Matcher { subject, glob })),
    };
    attributes.chain(others).filter_map(matcher).collect()
}

fn shares(wire: Option<BTreeMap<String, i64>>) -> anyhow::Result<Vec<(String, u64)>> {
    let Some(wire) = wire else { return Ok(Vec::new()) };
    if wire.len() < 2 {
        bail!("shares has fewer than two teams; write team for one");
    }
    let share = |(team, weight): (String, i64)| match u64::try_from(weight) {
        Ok(weight @ 1..=MAX_WEIGHT) => Ok((value("shares:", team)?, weight)),
        _ => bail!("shares: the weight {weight} of {team} is not 1 to {MAX_WEIGHT}"),
    };
    wire.into_iter().map(share).collect()
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
        .unwrap()
        .0;
        assert_eq!((rules[0].name.as_str(), rules[1].name.as_str()), ("api", "2"));
        let looked: Vec<_> = rules[0].matchers.iter().map(|m| (m.subject.name(), m.glob.as_str())).collect();
        assert_eq!(looked, [("env", "ci"), ("team.id", "p*"), ("repository", "acme/*")]);
        assert!(rules[1].matchers.is_empty());
        assert_eq!(parse_teams("# nothing yet\n").unwrap(), (vec![], None));
    }

    #[test]
    fn a_rule_may_have_days_shares_labels_and_a_user() {
        let text = "[[rule]]\nfrom = \"2026-02-01\"\nto = \"2026-02-01\"\nshares = { search = 1, platform = 2 }\n\
                    labels = { product = \"x\" }\nset_user = \"ann@acme.com\"\nprovider = \"Corp\"\n";
        let rule = parse_teams(text).unwrap().0.remove(0);
        assert_eq!(rule.shares, [("platform".to_string(), 2), ("search".to_string(), 1)]);
        let day = crate::model::Day::parse("2026-02-01").unwrap();
        assert!(rule.days.has(day) && !rule.days.has(day.next()));
        assert_eq!((rule.labels["product"].as_str(), rule.user.as_deref()), ("x", Some("ann@acme.com")));
        assert_eq!(rule.matchers[0].glob, "corp");
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
            ("[[rule]]\nteam = \"a\"\nfrom = \"2026-2-1\"\n", "line 1, rule 1: from `2026-2-1` is not a day"),
            ("[[rule]]\nteam = \"a\"\nfrom = \"2026-02-02\"\nto = \"2026-02-01\"\n", "from is after to"),
            ("[[rule]]\nteam = \"a\"\nshares = { a = 1, b = 1 }\n", "both team and shares"),
            ("[[rule]]\nshares = { a = 1 }\n", "fewer than two teams"),
            ("[[rule]]\nshares = {}\n", "fewer than two teams"),
            ("[[rule]]\nshares = { a = 1, b = 0 }\n", "the weight 0 of b is not 1 to 1000000"),
            ("[[rule]]\nshares = { a = 1, b = -2 }\n", "the weight -2 of b"),
            ("[[rule]]\nshares = { a = 1, b = 1.5 }\n", "line 2: invalid type"),
            ("[[rule]]\nlabels = { product = \"\" }\n", "label product \"\" is empty"),
            ("[[rule]]\ntoken = \"x\"\nteam = \"a\"\n", "line 2: unknown field `token`"),
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
        assert!(read_teams(path, false).unwrap().is_empty());
        assert!(read_teams(path, true).unwrap_err().to_string().contains("cannot read"));
    }
}
