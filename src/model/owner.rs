//! Who pays, and why we say so.

use std::collections::BTreeMap;
use std::fmt;

/// The name of the owner of what nobody claims. It is an owner like any other and is shown as a row.
pub const UNATTRIBUTED: &str = "unattributed";

/// How strong the reason for an owner field is; a stronger one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// Nothing is known.
    Unattributed,
    /// Said by a process about others (a daemon's environment is that of its first terminal). Shown, never used.
    SecondHand,
    /// Derived: git remote, directory, operating system user.
    Inferred,
    /// Said by a `codex exec` or stand-alone terminal process of itself.
    FirstHand,
    /// A rule of `teams.toml`, or its list of members: the administrator's word.
    Rule,
    /// The credential that its telemetry was delivered with.
    Credential,
}

impl Strength {
    /// All of them, the strongest first.
    pub const ALL: [Strength; 6] = [
        Strength::Credential,
        Strength::Rule,
        Strength::FirstHand,
        Strength::Inferred,
        Strength::SecondHand,
        Strength::Unattributed,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Strength::Unattributed => UNATTRIBUTED,
            Strength::SecondHand => "second_hand",
            Strength::Credential => "credential",
            Strength::Inferred => "inferred",
            Strength::FirstHand => "declared",
            Strength::Rule => "rule",
        }
    }
}

/// One decided field with its reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerField {
    /// The value that reports group by; [`UNATTRIBUTED`] if nothing usable is known.
    pub value: String,
    /// How strong its reason is.
    pub strength: Strength,
    /// The reason in words, with the raw claim.
    pub why: String,
}

impl OwnerField {
    /// The field that nobody claims, with the reason for that.
    pub fn unattributed(why: impl Into<String>) -> Self {
        OwnerField { value: UNATTRIBUTED.to_string(), strength: Strength::Unattributed, why: why.into() }
    }

    /// Whether the value is usable.
    pub fn is_attributed(&self) -> bool {
        self.strength > Strength::SecondHand
    }
}

impl fmt::Display for OwnerField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.value, self.why)
    }
}

/// Team, cost centre, project, user and labels of a response, decided one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The team that pays; of teams that share the cost, their names joined by `+`.
    pub team: OwnerField,
    /// The cost centre that is charged.
    pub cost_centre: OwnerField,
    /// The project that was worked on.
    pub project: OwnerField,
    /// The person, or `ci:<repository>`.
    pub user: OwnerField,
    /// What rules say besides, by name.
    pub labels: BTreeMap<String, OwnerField>,
    /// What a process said contradicts its credential or the list of members, and was not believed.
    pub contradicted: bool,
}

impl Owner {
    /// The fields with their names, labels as `label NAME`.
    pub fn fields(&self) -> impl Iterator<Item = (String, &OwnerField)> {
        let fields = [("team", &self.team), ("cost centre", &self.cost_centre)];
        let fields = fields.into_iter().chain([("project", &self.project), ("user", &self.user)]);
        let labels = self.labels.iter().map(|(name, field)| (format!("label {name}"), field));
        fields.map(|(name, field)| (name.to_string(), field)).chain(labels)
    }
}
