//! As whom users are known: by name, by a pseudonym that only the holder of a key can tell from a name, or not at all.

use super::{KeyBuilder, Rule, Rules, Subject};
use std::fmt;

/// What is kept of who a user is. It is decided where something comes in, before keys are made of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Users {
    /// Names, addresses and accounts as they are.
    #[default]
    Plain,
    /// A keyed hash of them.
    Pseudonym(String),
    /// Nothing.
    Off,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Users::Plain => "Plain",
            Users::Pseudonym(_) => "Pseudonym",
            Users::Off => "Off",
        })
    }
}

/// How a pseudonym begins; 16 hexadecimal digits follow.
const PREFIX: &str = "user-";

impl Users {
    /// What is kept of a name, an account or an e-mail address. The address keeps its domain, which is no person. A pseudonym
    /// stays as it is, so that it does not matter how often this is asked on the way.
    pub fn known_as(&self, name: &str) -> Option<String> {
        let Users::Pseudonym(key) = self else { return (*self == Users::Plain).then(|| name.to_string()) };
        let (local, domain) = match name.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain.to_lowercase())),
            None => (name, None),
        };
        if name.is_empty() || is_pseudonym(local) {
            return Some(name.to_string());
        }
        // An address is one person's however it is written.
        let hashed = if domain.is_some() { name.to_lowercase() } else { name.to_string() };
        let hash = KeyBuilder::new("user").part(key).part(&hashed).short();
        let at = domain.map_or(String::new(), |domain| format!("@{domain}"));
        Some(format!("{PREFIX}{hash:016x}{at}"))
    }

    /// What is kept of an attribute: one that names a user, or holds an address, is treated as a user is.
    pub fn attribute(&self, name: &str, value: &str) -> Option<String> {
        // Values may be percent-encoded, as in the environment.
        let address = value.replace("%40", "@");
        match names_user(name) || is_address(&address) {
            true if *self != Users::Plain => self.known_as(&address),
            _ => Some(value.to_string()),
        }
    }

    /// Rules that name users, made to fit what is kept of them. Patterns with wildcards stay as they are: a domain is kept.
    pub fn rules(&self, mut rules: Rules) -> Rules {
        if !matches!(self, Users::Pseudonym(_)) {
            return rules;
        }
        rules.rules.iter_mut().for_each(|rule| self.matchers(rule));
        let member = |(person, mut rows): (String, Vec<Rule>)| {
            for row in &mut rows {
                self.matchers(row);
                row.user = row.user.take().and_then(|user| self.known_as(&user));
            }
            Some((self.known_as(&person)?, rows))
        };
        rules.members = rules.members.into_iter().filter_map(member).collect();
        for owner in rules.credentials.values_mut() {
            owner.user = owner.user.take().and_then(|user| self.known_as(&user));
        }
        rules
    }

    fn matchers(&self, rule: &mut Rule) {
        for matcher in &mut rule.matchers {
            let of_user = match &matcher.subject {
                Subject::Email | Subject::Account | Subject::User => true,
                Subject::Attribute(name) => names_user(name),
                _ => false,
            };
            if of_user && !matcher.glob.contains(['*', '?']) {
                matcher.glob = self.known_as(&matcher.glob).unwrap_or_default();
            }
        }
    }
}

/// Names of persons, without signs between their words.
const PERSONS: [&str; 19] = [
    "user",
    "enduser",
    "username",
    "userid",
    "userlogin",
    "useremail",
    "usermail",
    "owner",
    "ownername",
    "owneremail",
    "login",
    "email",
    "author",
    "developer",
    "actor",
    "assignee",
    "committer",
    "requester",
    "reviewer",
];

/// Whether an attribute is about a person: `user.*`, `user_name`, `userId`, `process.owner`, `commitEmail`.
fn names_user(name: &str) -> bool {
    let words = words(name);
    let of_person = |from: usize| PERSONS.contains(&words[from..].concat().as_str());
    let first = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    ["user", "enduser"].contains(&first.as_str()) || (0..words.len()).any(of_person)
}

/// The words of a name, in small letters: `git.authorEmail` has `git`, `author` and `email`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if matches!(c, '_' | '-' | '.') || c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(String::new());
        }
        if let (false, Some(word)) = (matches!(c, '_' | '-' | '.'), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words
}

/// Whether a text is an e-mail address, and not a version or a digest behind an `@`.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.trim().split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(['@', '/', ':', ' ']);
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    plain(local) && plain(domain) && top.len() > 1 && top.chars().all(char::is_alphabetic)
}

fn is_pseudonym(name: &str) -> bool {
    let digits = |rest: &str| rest.len() == 16 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    name.strip_prefix(PREFIX).is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Matcher;
    use std::collections::BTreeMap;

    #[test]
    fn a_pseudonym_is_stable_keyed_and_keeps_the_domain() {
        let users = Users::Pseudonym("k".into());
        let ann = users.known_as("Ann@Acme.com").unwrap();
        assert!(ann.starts_with("user-") && ann.ends_with("@acme.com") && !ann.contains("nn"), "{ann}");
        assert_eq!(users.known_as("ann@acme.COM").unwrap(), ann);
        assert_eq!(users.known_as(&ann).unwrap(), ann, "a pseudonym stays");
        assert_ne!(users.known_as("bob@acme.com").unwrap(), ann);
        assert_ne!(Users::Pseudonym("l".into()).known_as("ann@acme.com").unwrap(), ann);
        assert_ne!(users.known_as("dev"), users.known_as("Dev"));
        assert_eq!((Users::Plain.known_as("dev").as_deref(), Users::Off.known_as("dev")), (Some("dev"), None));
        assert!(!format!("{users:?}").contains('k'));
    }

    #[test]
    fn attributes_of_users_are_told_from_others() {
        let users = Users::Off;
        for of_user in [
            "user",
            "user.email",
            "user.name",
            "enduser.id",
            "username",
            "user_name",
            "userId",
            "USER_ID",
            "owner",
            "process.owner",
            "git.author",
            "login",
            "commitEmail",
            "commit_email",
            "git.authorEmail",
            "git.user.name",
            "GIT-COMMITTER",
            "ticket.assignee",
            "github.actor",
        ] {
            assert_eq!(users.attribute(of_user, "x"), None, "{of_user}");
        }
        assert_eq!(users.attribute("contact", "ann@acme.com"), None);
        for value in ["tool@1.2.3", "repo@sha256:0a1b", "git@host.example:a/b", "@scope", "a@b"] {
            assert_eq!(users.attribute("x", value).as_deref(), Some(value));
        }
        for other in
            ["team.id", "username_policy", "users", "owners", "ownership", "team.owner_kind", "emailTemplate", "factor"]
        {
            assert_eq!(users.attribute(other, "x").as_deref(), Some("x"), "{other}");
        }
    }

    #[test]
    fn rules_of_names_and_members_still_fit() {
        let users = Users::Pseudonym("k".into());
        let rule = |subject, glob: &str| Rule {
            matchers: vec![Matcher { subject, glob: glob.into() }],
            user: Some("ann@acme.com".into()),
            ..Rule::default()
        };
        let given = Rules {
            rules: vec![
                rule(Subject::Email, "ann@acme.com"),
                rule(Subject::Email, "*@acme.com"),
                rule(Subject::Host, "h"),
            ],
            members: BTreeMap::from([("ann@acme.com".to_string(), vec![rule(Subject::Email, "Ann@acme.com")])]),
            credentials: BTreeMap::from([("laptop".to_string(), rule(Subject::Host, "h"))]),
        };
        let ann = users.known_as("ann@acme.com").unwrap();
        let made = users.rules(given.clone());
        let globs: Vec<_> = made.rules.iter().map(|rule| rule.matchers[0].glob.as_str()).collect();
        assert_eq!(globs, [ann.as_str(), "*@acme.com", "h"]);
        let row = &made.members[&ann][0];
        assert_eq!((row.user.as_ref(), &row.matchers[0].glob), (Some(&ann), &ann));
        assert_eq!(made.credentials["laptop"].user.as_ref(), Some(&ann));
        assert_eq!(Users::Plain.rules(given.clone()), given);
    }
}
