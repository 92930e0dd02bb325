//! The administrator's word on who pays: rules as they stand in `teams.toml`, in order, and the list of members.

use super::{Day, ThreadId};
use std::collections::BTreeMap;

/// All that the administrator says. Credentials come before rules, and these before the list of members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// In order.
    pub rules: Vec<Rule>,
    /// What each of the sink's named tokens says of who pays, by its name. Comes before all rules.
    pub credentials: BTreeMap<String, Rule>,
    /// Who is in which team: by e-mail address in lower case, a person's rows in the order of their days, which never overlap.
    pub members: BTreeMap<String, Vec<Rule>>,
}

impl Rules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.members.is_empty() && self.credentials.is_empty()
    }
}

/// One rule. It fits where all of its matchers do; without any it fits everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name, else its number; the place of a member's row.
    pub name: String,
    /// What must fit.
    pub matchers: Vec<Matcher>,
    /// The days on which it holds.
    pub days: Days,
    /// The team it sets.
    pub team: Option<String>,
    /// The teams that share the cost, in the order of their names, with their weights; instead of a team.
    pub shares: Vec<(String, u64)>,
    /// The cost centre it sets.
    pub cost_centre: Option<String>,
    /// The project it sets.
    pub project: Option<String>,
    /// The user it sets.
    pub user: Option<String>,
    /// The labels it sets.
    pub labels: BTreeMap<String, String>,
}

/// UTC days, both ends inclusive; an open end is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub from: Option<Day>,
    /// The last day.
    pub to: Option<Day>,
}

impl Days {
    /// Whether a day is one of them.
    pub fn has(self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// Whether any day is one of both.
    pub fn overlaps(self, other: Days) -> bool {
        let before = |a: Days, b: Days| a.to.zip(b.from).is_some_and(|(to, from)| to < from);
        !before(self, other) && !before(other, self)
    }
}

/// A pattern and what it is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// What is looked at.
    pub subject: Subject,
    /// The pattern: `*` is any text, `?` any one character; case matters.
    pub glob: String,
}

/// What a rule can look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An attribute of the telemetry or of the hook's environment, whoever says it.
    Attribute(String),
    /// The name of the sink's token that the telemetry was delivered with.
    Credential,
    /// The exporter's X-Team header.
    Header,
    /// The e-mail address of the login.
    Email,
    /// The account of the login.
    Account,
    /// The path of the git remote: `owner/name`.
    Repository,
    /// The session's working directory.
    Directory,
    /// The host.
    Host,
    /// What the telemetry says that it is of: production, staging.
    Environment,
    /// The program the user started.
    Client,
    /// The model provider, in lower case.
    Provider,
    /// The user as reports show it without rules.
    User,
}

impl Subject {
    /// The name in `teams.toml`.
    pub fn name(&self) -> &str {
        match self {
            Subject::Attribute(name) => name,
            Subject::Credential => "credential",
            Subject::Header => "header",
            Subject::Email => "email",
            Subject::Account => "account",
            Subject::Repository => "repository",
            Subject::Directory => "directory",
            Subject::Host => "host",
            Subject::Environment => "environment",
            Subject::Client => "client",
            Subject::Provider => "provider",
            Subject::User => "user",
        }
    }
}

/// A session with all that rules can look at, as at its first moment.
pub type SessionSubjects = (ThreadId, Vec<(Subject, String)>);
