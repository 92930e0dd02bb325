//! The administrator's word on who pays: rules as they stand in `teams.toml`, in order.

/// One rule. It fits where all of its matchers do; without any it fits everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name, else its number.
    pub name: String,
    /// What must fit.
    pub matchers: Vec<Matcher>,
    /// The team it sets.
    pub team: Option<String>,
    /// The cost centre it sets.
    pub cost_centre: Option<String>,
    /// The project it sets.
    pub project: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An attribute of the telemetry or of the hook's environment, whoever says it.
    Attribute(String),
    /// The exporter's X-Team header.
    Header,
    /// The e-mail address of the login.
    Email,
    /// The path of the git remote: `owner/name`.
    Repository,
    /// The session's working directory.
    Directory,
    /// The user as reports show it.
    User,
}

impl Subject {
    /// The name in `teams.toml`.
    pub fn name(&self) -> &str {
        match self {
            Subject::Attribute(name) => name,
            Subject::Header => "header",
            Subject::Email => "email",
            Subject::Repository => "repository",
            Subject::Directory => "directory",
            Subject::User => "user",
        }
    }
}
