//! The hook: the hot path. It opens no database, no network and no transcript, prints nothing, and always exits 0.

use super::limits;
use crate::config::{self, Env, HOOK_VARS};
use crate::ingest::cut;
use crate::ingest::hook::{ATTRIBUTES, Environment, Identity, SpoolLine, attributes_as, reduce, unreadable};
use crate::model::{Timestamp, Users};
use crate::store::spool;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A larger payload is counted, not kept: tool output reaches 1 MiB at most (Codex 0.169), images a little more.
const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// The longest value of an environment variable that is kept.
const MAX_VARIABLE_BYTES: usize = 4096;

/// Takes one payload from stdin to the spool and ends the process.
pub fn run() -> ! {
    std::panic::set_hook(Box::new(|_| std::process::exit(0)));
    limits::survive_large_files();
    record();
    std::process::exit(0)
}

fn record() {
    let env = Env::from_process();
    let Some(home) = config::home(home_flag().as_deref(), &env) else { return };
    if env.text("CODEX_TALLY_OFF").as_deref() == Some("1") || home.join("off").exists() {
        return;
    }
    let payload = read_stdin();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let Some(id) = identity() else { return };
    let day = Timestamp(id.ns).day();
    let environment = environment(&env, &host, &config::users_of_hook(&home));
    let line: SpoolLine = match payload {
        Some(payload) => reduce(&payload, id, environment),
        None => unreadable("too_large", MAX_PAYLOAD_BYTES as u64, id, environment),
    };
    if let Ok(bytes) = serde_json::to_vec(&line) {
        // A full disk or a read-only home must not be in the user's way; transcripts are the durable copy.
        let _ = spool::append(&home, &host, day, &bytes);
    }
}

/// `--home DIR` or `--home=DIR`, the last one; other arguments mean nothing to a hook.
fn home_flag() -> Option<PathBuf> {
    let mut args = std::env::args_os().skip(1);
    let mut home = None;
    while let Some(arg) = args.next() {
        if arg == "--home" {
            home = args.next().map(PathBuf::from);
        } else if let Some(dir) = arg.as_bytes().strip_prefix(b"--home=") {
            home = Some(PathBuf::from(std::ffi::OsStr::from_bytes(dir)));
        }
    }
    home
}

/// All of stdin; `None` if it is larger than what is kept.
fn read_stdin() -> Option<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length > MAX_PAYLOAD_BYTES {
                return None;
            }
            bytes.resize(length * 2, 0);
        }
        match rustix::io::read(rustix::stdio::stdin(), &mut bytes[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    bytes.truncate(length);
    (length <= MAX_PAYLOAD_BYTES).then_some(bytes)
}

fn identity() -> Option<Identity> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let rnd = getrandom::u64().unwrap_or_default();
    // JSON readers elsewhere keep 53 bits of a number.
    Some(Identity { ns: i64::try_from(now.as_nanos()).ok()?, pid: std::process::id(), rnd: rnd >> 11 })
}

fn environment(env: &Env, host: &str, users: &Users) -> Environment {
    let value =
        |name: &str| if name == ATTRIBUTES { Some(attributes_as(&env.text(name)?, users)) } else { env.text(name) };
    let kept = |name: &str| Some((name.to_string(), cut(&value(name)?, MAX_VARIABLE_BYTES).to_string()));
    Environment {
        host: host.to_string(),
        user: users.known_as(&env.os_user()).unwrap_or_default(),
        vars: HOOK_VARS.iter().filter_map(|n| kept(n)).collect(),
    }
}
