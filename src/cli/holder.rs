//! Who holds a port that the sink wants: the program's name and process, where the system tells.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// ": `otelcol` (process 4711) listens there", or nothing where the system does not tell.
pub(super) fn told(address: SocketAddr) -> String {
    let proc = Path::new("/proc");
    let tables = ["net/tcp", "net/tcp6"].map(|table| std::fs::read_to_string(proc.join(table)).unwrap_or_default());
    let inodes: Vec<String> = tables.iter().flat_map(|table| listening(table, address.port())).collect();
    match process_with(proc, &inodes) {
        Some((pid, name)) => format!(": `{name}` (process {pid}) listens there"),
        None if inodes.is_empty() => String::new(),
        None => ": a program of another user listens there".to_string(),
    }
}

/// The inodes of listening sockets on this port. A line is `sl local remote state ...`, the inode is its tenth field.
fn listening(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        (local.ends_with(&port) && *state == "0A").then(|| (*inode).to_string())
    };
    table.lines().filter_map(of).collect()
}

/// The first process that has one of these sockets open. Other users' processes do not show theirs.
fn process_with(proc: &Path, inodes: &[String]) -> Option<(u32, String)> {
    let sockets: Vec<PathBuf> = inodes.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    let entries = std::fs::read_dir(proc).ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let open = std::fs::read_dir(proc.join(format!("{pid}/fd"))).into_iter().flatten().flatten();
        open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|target| sockets.contains(&target))
    };
    let pid = pids.filter(|_| !sockets.is_empty()).find(has)?;
    let name = std::fs::read_to_string(proc.join(format!("{pid}/comm"))).unwrap_or_default();
    Some((pid, name.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:10DE 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 111 1 0\n\
                     1: 0100007F:10DE 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000 0 222 1 0\n\
                     2: 0100007F:10DD 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 333 1 0\n";
        assert_eq!(listening(table, 4318), ["111"]);
        assert!(listening(table, 80).is_empty() && listening("broken\n", 80).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let told = told(listener.local_addr().unwrap());
        assert!(told.contains(&format!("(process {})", std::process::id())), "{told}");
    }
}
