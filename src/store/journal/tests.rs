//! Tests of the journal's format, and of who may drain it when.

use super::*;
use crate::model::{KeyBuilder, Response, TokenUsage};
use crate::store::sqlite::SqliteStore;
use std::os::unix::fs::PermissionsExt;

fn response(input: u64) -> Observation {
    let usage = TokenUsage { input, ..TokenUsage::default() };
    Observation {
        thread: ThreadId::new("t").unwrap(),
        key: KeyBuilder::new("k").number(input as i64).build(),
        source: SourceKind::Otlp,
        time: Timestamp(1),
        body: Body::Response(Box::new(Response { usage, ..Response::default() })),
    }
}

fn open(home: &Path) -> SqliteStore {
    SqliteStore::open(&home.join("t.db")).unwrap()
}

fn put(journal: &mut Journal, inputs: std::ops::Range<u64>) {
    let observations: Vec<_> = inputs.map(response).collect();
    journal.append(&observations, &BTreeMap::from([("otlp.ignored".to_string(), 1)])).unwrap();
}

fn only_segment(home: &Path) -> PathBuf {
    let [segment] = segments(&folder(home)).unwrap().try_into().unwrap();
    segment
}

fn drain_now(home: &Path, store: &mut SqliteStore) -> Drained {
    drain(home, store, Duration::ZERO).unwrap()
}

#[test]
fn what_is_drained_is_what_was_appended() {
    let home = tempfile::tempdir().unwrap();
    let (home, mut store) = (home.path(), open(home.path()));
    assert!(is_empty(home).unwrap());
    assert_eq!(drain_now(home, &mut store), Drained::default());
    let mut journal = Journal::new(home);
    put(&mut journal, 0..3);
    put(&mut journal, 2..1300);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder(home)), mode(&only_segment(home))), (0o700, 0o600));
    let drained = drain_now(home, &mut store);
    assert_eq!(drained.appended, Appended { stored: 1300, known: 1, conflicts: 0 });
    assert!(is_empty(home).unwrap());
    let mut stored = store.observations().unwrap();
    stored.sort_by_key(|o| o.key);
    let mut wanted: Vec<_> = (0..1300).map(response).collect();
    wanted.sort_by_key(|o| o.key);
    assert_eq!(stored, wanted);
    assert_eq!(store.counters().unwrap(), BTreeMap::from([("otlp.ignored".to_string(), 2)]));
    assert_eq!(store.cursors().unwrap(), [], "a segment that is gone is not remembered");
    put(&mut journal, 1300..1301);
    assert_eq!(drain_now(home, &mut store).appended.stored, 1, "the journal goes on in a new segment");
}

#[test]
fn a_torn_frame_takes_nothing_along() {
    let home = tempfile::tempdir().unwrap();
    let (home, mut store) = (home.path(), open(home.path()));
    put(&mut Journal::new(home), 0..3);
    let segment = only_segment(home);
    let whole = std::fs::read(&segment).unwrap();
    for cut in [1, MAGIC.len(), HEAD, HEAD + 5, whole.len() - 1] {
        std::fs::write(&segment, [&whole[..], &whole[..cut]].concat()).unwrap();
        drain_now(home, &mut store);
        assert!(is_empty(home).unwrap(), "{cut}");
    }
    assert_eq!(store.observations().unwrap().len(), 3);
    assert_eq!(store.counters().unwrap()["journal.torn"], 5);
}

#[test]
fn a_damaged_frame_is_counted_and_kept_for_a_look() {
    let home = tempfile::tempdir().unwrap();
    let (home, mut store) = (home.path(), open(home.path()));
    let mut journal = Journal::new(home);
    (0..3).for_each(|n| put(&mut journal, n..n + 1));
    let segment = only_segment(home);
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.extend(frame(br#"{"observations":[{"from":"a newer version"}]}"#).unwrap());
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(drain_now(home, &mut store).appended.stored, 2);
    assert_eq!(store.counters().unwrap()["journal.damaged"], 2);
    assert!(is_empty(home).unwrap());
    assert_eq!(std::fs::read(segment.with_extension("damaged")).unwrap(), bytes);
}

#[test]
fn a_drain_that_was_cut_short_counts_once() {
    let home = tempfile::tempdir().unwrap();
    let (home, mut store) = (home.path(), open(home.path()));
    let mut journal = Journal::new(home);
    put(&mut journal, 0..5);
    let segment = only_segment(home);
    let bytes = std::fs::read(&segment).unwrap();
    // As if the process had been killed between the commit and the removal.
    let mut drained = Drained::default();
    let name = Path::new("journal").join(segment.file_name().unwrap());
    let mut target = Target { store: &mut store, stored: None, name, drained: &mut drained };
    assert!(target.apply(&bytes).unwrap());
    put(&mut journal, 5..7);
    assert_eq!(drain_now(home, &mut store).appended, Appended { stored: 2, ..Appended::default() });
    assert_eq!(store.counters().unwrap()["otlp.ignored"], 2);
    assert_eq!(store.cursors().unwrap(), []);
}

#[test]
fn nobody_waits_for_a_segment_that_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let (home, mut store) = (home.path(), open(home.path()));
    let mut journal = Journal::new(home);
    put(&mut journal, 0..1);
    let held = File::open(only_segment(home)).unwrap();
    rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    put(&mut journal, 1..2);
    let drained = drain_now(home, &mut store);
    assert_eq!((drained.appended.stored, drained.left), (1, 1));
    drop(held);
    assert_eq!(drain_now(home, &mut store).appended.stored, 1);
    assert!(is_empty(home).unwrap());
}

#[test]
fn it_is_bounded_and_private() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let mut journal = Journal { limit: 4000, ..Journal::new(home) };
    let many: Vec<_> = (0..100).map(response).collect();
    assert_eq!(journal.append(&many, &BTreeMap::new()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    put(&mut journal, 0..1);
    std::fs::remove_dir_all(folder(home)).unwrap();
    let elsewhere = home.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder(home)).unwrap();
    let mut journal = Journal::new(home);
    assert!(journal.append(&[response(1)], &BTreeMap::new()).is_err());
    assert!(is_empty(home).is_err());
    assert!(drain(home, &mut open(home), Duration::ZERO).is_err());
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}
