//! Who pays, and why we say so.

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
    /// A rule of `teams.toml`: the administrator's word.
    Rule,
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

/// Team, cost centre, project and user of a response, decided one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The team that pays.
    pub team: OwnerField,
    /// The cost centre that is charged.
    pub cost_centre: OwnerField,
    /// The project that was worked on.
    pub project: OwnerField,
    /// The person, or `ci:<repository>`.
    pub user: OwnerField,
}
