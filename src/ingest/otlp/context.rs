//! What a process says of itself: the resource of its telemetry and the few record attributes that belong there.

use super::ClientHeaders;
use super::wire::{Attributes, Record, cut};
use crate::model::{Context, KeyBuilder};
use std::collections::BTreeMap;

/// The most attributes that are kept, in the order of their names.
const MAX_KEPT: usize = 64;

/// The longest value that is kept, in bytes.
pub(super) const MAX_VALUE: usize = 256;

/// Claims of an owner. A collector may move them from the resource to the records, which must not change a context.
pub(super) const CLAIMS: [&str; 6] = ["team.id", "team", "department", "project", "cost_centre", "cost_center"];

/// Resource attributes that are not claims: fields of their own, or of the record where a collector grouped by them.
fn is_plumbing(name: &str) -> bool {
    ["telemetry.sdk.", "service.", "event."].iter().any(|prefix| name.starts_with(prefix))
        || matches!(name, "host.name" | "user.email" | "user.account_id")
        || matches!(name, "originator" | "auth_mode" | "conversation.id" | "app.version")
}

/// The context of a record. Its id depends on its content only, not on when, where or how often it was sent.
pub(super) fn context(resource: &Attributes<'_>, record: &Record<'_>, headers: &ClientHeaders) -> Context {
    let users = &headers.users;
    let field = |name: &str| {
        let text = record.attributes.text(name).or_else(|| resource.text(name))?;
        Some(cut(&text, MAX_VALUE).to_string())
    };
    let mut attributes: BTreeMap<String, String> = resource
        .0
        .iter()
        .rev() // so that of equal names the first stands
        .filter(|(name, _)| !name.is_empty() && name.len() <= MAX_VALUE && !is_plumbing(name))
        .filter_map(|(name, value)| Some((name.to_string(), cut(&value.text()?, MAX_VALUE).to_string())))
        .collect();
    for name in CLAIMS.iter().chain(&["env"]) {
        if let Some(value) = field(name) {
            attributes.insert(name.to_string(), value);
        }
    }
    attributes =
        attributes.into_iter().filter_map(|(n, v)| Some((users.attribute(&n, &v)?, n))).map(|(v, n)| (n, v)).collect();
    while attributes.len() > MAX_KEPT {
        attributes.pop_last();
    }
    let mut context = Context {
        id: 0,
        service: field("service.name"),
        originator: field("originator"),
        auth_mode: field("auth_mode"),
        email: field("user.email").and_then(|email| users.known_as(&email)),
        account: field("user.account_id").and_then(|account| users.known_as(&account)),
        team_header: headers.team.as_deref().map(|team| cut(team, MAX_VALUE).to_string()),
        credential: headers.credential.clone(),
        os_user: None,
        host: field("host.name"),
        attributes,
    };
    context.id = content_hash(&context);
    context
}

fn content_hash(context: &Context) -> u64 {
    let fields = [
        ("service", &context.service),
        ("originator", &context.originator),
        ("auth_mode", &context.auth_mode),
        ("email", &context.email),
        ("account", &context.account),
        ("team_header", &context.team_header),
        ("credential", &context.credential),
        ("host", &context.host),
    ];
    let mut key = KeyBuilder::new("ctx-content");
    for (name, value) in fields {
        if let Some(value) = value {
            key = key.part(name).part(value);
        }
    }
    key = key.number(i64::try_from(context.attributes.len()).unwrap_or(i64::MAX));
    for (name, value) in &context.attributes {
        key = key.part(name).part(value);
    }
    key.short()
}
