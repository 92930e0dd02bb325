//! Which threads make a session.

use crate::model::{Body, Meta, Observation, SourceKind, ThreadId};
use std::collections::BTreeMap;

/// The observations of one thread, in order of time.
pub(super) struct Thread<'a> {
    pub id: ThreadId,
    pub observations: Vec<&'a Observation>,
}

impl<'a> Thread<'a> {
    /// The head of the thread's own transcript.
    pub fn meta(&self) -> Option<&'a Meta> {
        self.observations.iter().find_map(|o| match &o.body {
            Body::Meta(meta) => Some(meta.as_ref()),
            _ => None,
        })
    }

    /// Whether a source saw the thread.
    pub fn seen_by(&self, source: SourceKind) -> bool {
        self.observations.iter().any(|o| o.source == source)
    }
}

/// One session: its root thread's id and its threads, the root first.
pub(super) struct Group<'a> {
    pub session: ThreadId,
    pub threads: Vec<Thread<'a>>,
}

impl<'a> Group<'a> {
    /// The root thread, or the first one if nothing was seen of the root itself.
    pub fn root(&self) -> &Thread<'a> {
        &self.threads[0]
    }

    /// All observations of the session.
    pub fn observations(&self) -> impl Iterator<Item = &'a Observation> {
        self.threads.iter().flat_map(|t| t.observations.iter().copied())
    }
}

/// Groups observations by session, in the order of session ids.
pub(super) fn group(observations: &[Observation]) -> Vec<Group<'_>> {
    let mut threads: BTreeMap<&ThreadId, Vec<&Observation>> = BTreeMap::new();
    for o in observations {
        threads.entry(&o.thread).or_default().push(o);
    }
    let mut links = BTreeMap::new();
    for (id, seen) in &mut threads {
        seen.sort_by(|a, b| (a.time, a.source, a.key, a.variant()).cmp(&(b.time, b.source, b.key, b.variant())));
        if let Some(target) = link(id, seen) {
            links.insert((*id).clone(), target);
        }
    }
    let mut groups: BTreeMap<ThreadId, Vec<Thread<'_>>> = BTreeMap::new();
    for (id, observations) in threads {
        groups.entry(root(id, &links)).or_default().push(Thread { id: id.clone(), observations });
    }
    groups
        .into_iter()
        .map(|(session, mut threads)| {
            threads.sort_by_key(|t| (t.id != session, t.id.clone()));
            Group { session, threads }
        })
        .collect()
}

/// Where a thread belongs, by the best source: its transcript, a hook, an agent message, its parent.
fn link(id: &ThreadId, seen: &[&Observation]) -> Option<ThreadId> {
    let meta = seen.iter().find_map(|o| match &o.body {
        Body::Meta(meta) => Some(meta),
        _ => None,
    });
    let linked = |source| {
        seen.iter().find_map(|o| match &o.body {
            Body::Link(link) if o.source == source => Some(link.session.clone()),
            _ => None,
        })
    };
    let target = meta
        .and_then(|m| m.session.clone())
        .or_else(|| linked(SourceKind::Hook))
        .or_else(|| linked(SourceKind::Otlp))
        .or_else(|| meta.and_then(|m| m.parent.clone()))?;
    (target != *id).then_some(target)
}

/// Follows links to the root. Hostile input could go round in circles; the smallest id of a circle is its root then.
fn root(id: &ThreadId, links: &BTreeMap<ThreadId, ThreadId>) -> ThreadId {
    let mut path = vec![id];
    while let Some(next) = links.get(path[path.len() - 1]) {
        if let Some(start) = path.iter().position(|p| *p == next) {
            return path[start..].iter().min().map_or_else(|| id.clone(), |p| (*p).clone());
        }
        path.push(next);
    }
    path[path.len() - 1].clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_have_one_root() {
        let id = |s: &str| ThreadId::new(s).unwrap();
        let links = [("a", "b"), ("b", "c"), ("c", "b"), ("x", "y")].map(|(a, b)| (id(a), id(b))).into();
        assert_eq!(root(&id("a"), &links), id("b"));
        assert_eq!(root(&id("c"), &links), id("b"));
        assert_eq!(root(&id("x"), &links), id("y"));
        assert_eq!(root(&id("z"), &links), id("z"));
    }
}
