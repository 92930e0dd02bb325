//! Which threads make a session.

use super::halves;
use crate::model::{Body, Meta, Observation, SourceKind, ThreadId};
use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The observations of one thread, each once, in order of time.
pub(super) struct Thread<'a> {
    pub id: ThreadId,
    pub observations: Vec<&'a Observation>,
    meta: Option<&'a Meta>,
}

impl<'a> Thread<'a> {
    fn new(id: ThreadId, observations: Vec<&'a Observation>) -> Self {
        let meta = head(&observations);
        Thread { id, observations, meta }
    }

    /// The head of the thread's own transcript.
    pub fn meta(&self) -> Option<&'a Meta> {
        self.meta
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

    /// The root thread, if anything was seen of it.
    pub fn own_root(&self) -> Option<&Thread<'a>> {
        self.threads.first().filter(|t| t.id == self.session)
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
        *seen = distinct(std::mem::take(seen));
        if let Some(target) = link(id, seen) {
            links.insert((*id).clone(), target);
        }
    }
    for (thread, session) in reunite(&mut threads) {
        links.insert(thread, session);
    }
    let roots = follow(&links);
    let mut groups: BTreeMap<ThreadId, Vec<Thread<'_>>> = BTreeMap::new();
    for (id, observations) in threads {
        let root = roots.get(id).copied().unwrap_or(id).clone();
        groups.entry(root).or_default().push(Thread::new(id.clone(), observations));
    }
    groups
        .into_iter()
        .map(|(session, mut threads)| {
            threads.sort_by_key(|t| (t.id != session, t.id.clone()));
            Group { session, threads }
        })
        .collect()
}

/// The ids of the sessions that these observations tell of.
pub fn roots(observations: &[Observation]) -> Vec<ThreadId> {
    group(observations).into_iter().map(|group| group.session).collect()
}

/// Gives threads of which hooks know the session alone what these tell of them; returns their sessions.
fn reunite(threads: &mut BTreeMap<&ThreadId, Vec<&Observation>>) -> Vec<(ThreadId, ThreadId)> {
    let pairs = halves::pairs(threads);
    halves::reunite(threads, &pairs);
    for (thread, ..) in &pairs {
        threads.get_mut(thread).into_iter().for_each(|seen| *seen = distinct(std::mem::take(seen)));
    }
    pairs.into_iter().map(|(thread, session, _)| (thread, session)).collect()
}

fn head<'a>(seen: &[&'a Observation]) -> Option<&'a Meta> {
    seen.iter().find_map(|o| match &o.body {
        Body::Meta(meta) => Some(meta.as_ref()),
        _ => None,
    })
}

/// Where a thread belongs, by the best source: its transcript, a hook, an agent message, its parent.
fn link(id: &ThreadId, seen: &[&Observation]) -> Option<ThreadId> {
    let meta = head(seen);
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

/// The root of every thread that links lead from or to. Hostile input could go round in circles; the smallest id of a circle
/// is its root then.
fn follow(links: &BTreeMap<ThreadId, ThreadId>) -> HashMap<&ThreadId, &ThreadId> {
    let mut roots: HashMap<&ThreadId, &ThreadId> = HashMap::new();
    for id in links.keys() {
        let (mut path, mut places, mut at) = (Vec::new(), HashMap::new(), id);
        let root = loop {
            if let Some(known) = roots.get(at) {
                break *known;
            }
            if let Some(start) = places.insert(at, path.len()) {
                break path[start..].iter().min().copied().unwrap_or(at);
            }
            path.push(at);
            match links.get(at) {
                Some(next) => at = next,
                None => break at,
            }
        };
        roots.extend(path.into_iter().map(|id| (id, root)));
    }
    roots
}

/// Each observation once, in order of time. Of several under one key and variant the earliest stands, whichever came first.
fn distinct(mut seen: Vec<&Observation>) -> Vec<&Observation> {
    seen.sort_by(|a, b| {
        let order = (a.time, a.source, a.key).cmp(&(b.time, b.source, b.key));
        order.then_with(|| if a.body == b.body { Ordering::Equal } else { by_content(a, b) })
    });
    // Few keys are there twice, and only of these are variants worth computing.
    let (mut known, mut variants) = (HashMap::with_capacity(seen.len()), HashSet::new());
    seen.retain(|o| match known.entry(o.key) {
        Entry::Vacant(entry) => {
            entry.insert(Some(*o));
            true
        }
        Entry::Occupied(mut entry) => {
            variants.extend(entry.get_mut().take().map(|first| (o.key, first.variant())));
            variants.insert((o.key, o.variant()))
        }
    });
    seen
}

fn by_content(a: &Observation, b: &Observation) -> Ordering {
    a.variant().cmp(&b.variant()).then_with(|| format!("{:?}", a.body).cmp(&format!("{:?}", b.body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_have_one_root() {
        let id = |s: &str| ThreadId::new(s).unwrap();
        let links = [("a", "b"), ("b", "c"), ("c", "b"), ("x", "y")].map(|(a, b)| (id(a), id(b))).into();
        let roots = follow(&links);
        let root = |of: &str| roots.get(&id(of)).map(|r| r.to_string());
        assert_eq!(root("a").as_deref(), Some("b"));
        assert_eq!(root("c").as_deref(), Some("b"));
        assert_eq!(root("x").as_deref(), Some("y"));
        assert_eq!(root("z"), None);
    }
}
