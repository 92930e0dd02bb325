//! The queue on disk: a file a request, named by its number and form, private, gone once it is delivered.

use super::{MOST_HOPS, Parcel};
use crate::serve::report::{Reporter, Warning};
use crate::store::spool::create_private_dir;
use anyhow::Context as _;
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

/// The forms of requests, by the words in a file's name.
const SIGNALS: [&str; 3] = ["logs", "traces", "metrics"];
const TYPES: [(&str, &str); 2] = [("json", "application/json"), ("protobuf", "application/x-protobuf")];

/// A handle to the queue; clones are of the same one.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    most_bytes: u64,
    reporter: Arc<Reporter>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// The names of files in their order, with their sizes.
    waiting: BTreeSet<(String, u64)>,
    bytes: u64,
    next: u64,
    sender: Option<Thread>,
}

impl Queue {
    /// Opens a folder, and finds what an earlier sink left there.
    pub(super) fn open(folder: &Path, most_bytes: u64, reporter: Arc<Reporter>) -> anyhow::Result<Self> {
        create_private_dir(folder)?;
        let mut inner = Inner { waiting: BTreeSet::new(), bytes: 0, next: 0, sender: None };
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_string) else { continue };
            if name.ends_with(".part") {
                // A sink ended while it wrote this, so it had not answered yet.
                std::fs::remove_file(entry.path())?;
            } else if let Some((number, _)) = parse(&name) {
                let size = entry.metadata()?.len();
                inner.bytes += size;
                inner.next = inner.next.max(number + 1);
                inner.waiting.insert((name, size));
            }
        }
        let shared = Shared { folder: folder.to_path_buf(), most_bytes, reporter, inner: Mutex::new(inner) };
        Ok(Queue(Arc::new(shared)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to wake when something comes.
    pub(super) fn wake(&self, sender: Thread) {
        self.lock().sender = Some(sender);
    }

    /// Takes a request in, unless it has gone through so many sinks that it goes round in a ring. Returns whether it could; that it could not is told and counted, and is no reason to refuse it.
    pub(crate) fn put(&self, parcel: &Parcel) -> bool {
        if parcel.hops >= MOST_HOPS {
            let why =
                format!("they came through {} sinks already; do sinks pass on to each other in a ring?", parcel.hops);
            self.0.reporter.count(|stats| stats.not_forwarded += 1);
            self.0.reporter.warn(Warning::ForwardLost, 1, &why);
            return false;
        }
        let size = parcel.body.len() as u64;
        let reserved = {
            let mut inner = self.lock();
            let fits = inner.bytes + size <= self.0.most_bytes;
            fits.then(|| {
                inner.bytes += size;
                inner.next += 1;
                inner.next - 1
            })
        };
        let written = match reserved {
            None => Err(anyhow::anyhow!("the queue is full ({} bytes wait)", self.lock().bytes)),
            Some(number) => self.write(&name(number, parcel), &parcel.body),
        };
        let mut inner = self.lock();
        match (written, reserved) {
            (Ok(name), _) => {
                inner.waiting.insert((name, size));
                if let Some(sender) = &inner.sender {
                    sender.unpark();
                }
                return true;
            }
            (Err(_), Some(_)) => inner.bytes -= size,
            (Err(_), None) => {}
        }
        drop(inner);
        self.0.reporter.count(|stats| stats.not_forwarded += 1);
        self.0.reporter.warn(Warning::ForwardLost, 1, "the queue is full or cannot be written");
        false
    }

    fn write(&self, name: &str, body: &[u8]) -> anyhow::Result<String> {
        let (part, path) = (self.0.folder.join(format!("{name}.part")), self.0.folder.join(name));
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
        let written = file.write_all(body).and_then(|()| std::fs::rename(&part, &path));
        if let Err(e) = written {
            // What cannot be removed is removed at the next start.
            let _ = std::fs::remove_file(&part);
            return Err(e.into());
        }
        Ok(name.to_string())
    }

    /// What waits longest, with its name. A file that has gone or is of another kind is passed over.
    pub(super) fn first(&self) -> anyhow::Result<Option<(String, Parcel)>> {
        loop {
            let Some((name, _)) = self.lock().waiting.first().cloned() else { return Ok(None) };
            let path = self.0.folder.join(&name);
            let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
            let mut body = Vec::new();
            let read = File::options().read(true).custom_flags(nofollow).open(&path);
            match (read.and_then(|mut file| file.read_to_end(&mut body)), parse(&name)) {
                (Ok(_), Some((_, form))) => return Ok(Some((name, Parcel { body, ..form }))),
                (Err(e), _) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("cannot read {}", path.display()));
                }
                _ => self.remove(&name),
            }
        }
    }

    /// Forgets a request.
    pub(super) fn remove(&self, name: &str) {
        // One that cannot be removed would be sent again by the next sink; that is better than to stop here.
        let _ = std::fs::remove_file(self.0.folder.join(name));
        let mut inner = self.lock();
        let found = inner.waiting.iter().find(|(waiting, _)| waiting == name).cloned();
        if let Some(found) = found {
            inner.bytes -= found.1;
            inner.waiting.remove(&found);
        }
    }
}

/// For example `00000000000000000042-logs-protobuf-gzip`, with `-2` behind it if two sinks have passed it on.
fn name(number: u64, parcel: &Parcel) -> String {
    let kind =
        TYPES.iter().find(|(_, content_type)| *content_type == parcel.content_type).map_or("json", |(name, _)| name);
    let hops = if parcel.hops > 0 { format!("-{}", parcel.hops) } else { String::new() };
    format!("{number:020}-{}-{kind}-{}{hops}", parcel.signal, if parcel.gzip { "gzip" } else { "plain" })
}

fn parse(name: &str) -> Option<(u64, Parcel)> {
    let mut parts = name.split('-');
    let number = parts.next().filter(|digits| digits.len() == 20)?.parse().ok()?;
    let signal = parts.next()?;
    let signal = SIGNALS.into_iter().find(|known| *known == signal)?;
    let kind = parts.next()?;
    let content_type = TYPES.iter().find(|(name, _)| *name == kind)?.1;
    let gzip = match parts.next()? {
        "gzip" => true,
        "plain" => false,
        _ => return None,
    };
    let hops = parts.next().map_or(Some(0), |hops| hops.parse().ok())?;
    parts.next().is_none().then_some((number, Parcel { signal, content_type, gzip, hops, body: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reporter() -> Arc<Reporter> {
        Arc::new(Reporter::new(Box::new(|_| {}), Duration::from_secs(60)))
    }

    fn parcel(body: &[u8]) -> Parcel {
        Parcel { signal: "traces", content_type: "application/x-protobuf", gzip: true, hops: 2, body: body.to_vec() }
    }

    #[test]
    fn what_waits_is_found_again_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("forward");
        let queue = Queue::open(&folder, 100, reporter()).unwrap();
        for body in [&b"one"[..], b"two", b"three"] {
            assert!(queue.put(&parcel(body)));
        }
        drop(queue);
        std::fs::write(folder.join("00000000000000000009-logs-json-plain.part"), "torn").unwrap();
        std::fs::write(folder.join("costs"), "of another kind").unwrap();
        let queue = Queue::open(&folder, 100, reporter()).unwrap();
        let mut seen = Vec::new();
        while let Some((name, found)) = queue.first().unwrap() {
            assert_eq!(Parcel { body: Vec::new(), ..found.clone() }, parcel(b""));
            seen.push(found.body);
            queue.remove(&name);
        }
        assert_eq!(seen, [&b"one"[..], b"two", b"three"]);
        assert_eq!((queue.lock().bytes, std::fs::read_dir(&folder).unwrap().count()), (0, 1));
    }

    #[test]
    fn the_queue_is_bounded_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let reporter = reporter();
        let queue = Queue::open(&folder.path().join("q"), 10, Arc::clone(&reporter)).unwrap();
        assert!(queue.put(&parcel(&[0; 10])) && !queue.put(&parcel(&[0; 1])));
        assert_eq!(reporter.stats().not_forwarded, 1);
        let (name, _) = queue.first().unwrap().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.path().join("q")), mode(&folder.path().join("q").join(&name))), (0o700, 0o600));
        queue.remove(&name);
        assert!(queue.put(&parcel(&[0; 10])));
    }
}
