//! The sink as a service: sockets that were opened before it, one sink a home, ports that others hold.

use crate::support::env::{Output, TALLY};
use crate::support::{Codex, MockModel, Step, TestEnv};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

const NO_DATABASE: &[u8] = b"this is no database, and it is long enough to be seen as none";

/// `serve` as a service manager starts it: the sockets are the descriptors from 3 on, and stay open in this process, too.
fn activated(env: &TestEnv, sockets: &[&TcpListener], args: &str) -> Command {
    let mut script = String::new();
    for (i, socket) in sockets.iter().enumerate() {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
        script += &format!("exec {}<&{}; ", 3 + i, socket.as_raw_fd());
    }
    script += &format!("LISTEN_PID=$$ LISTEN_FDS={} exec \"$0\" serve {args}", sockets.len());
    let mut command = env.command("bash");
    command.args(["-c", &script, TALLY]);
    command
}

/// Descriptors of both sockets, high enough not to be the ones that the shell moves them to.
fn sockets() -> [TcpListener; 2] {
    let high = |listener: TcpListener| TcpListener::from(rustix::io::fcntl_dupfd_cloexec(&listener, 100).unwrap());
    [(); 2].map(|()| high(TcpListener::bind("127.0.0.1:0").unwrap()))
}

fn post(port: u16, token: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn sockets_of_a_service_manager_are_served() {
    let env = TestEnv::new();
    let [http, grpc] = sockets();
    let port = http.local_addr().unwrap().port();
    // What comes before the sink runs waits in the socket.
    let early = std::thread::spawn(move || TcpStream::connect(("127.0.0.1", port)).unwrap());
    let server = crate::support::Server::start(activated(&env, &[&http, &grpc], ""));
    early.join().unwrap();
    assert_eq!(server.port(), port);
    let token = std::fs::read_to_string(env.home().join("token")).unwrap();
    let answer = post(port, token.trim(), br#"{"resourceLogs":[]}"#);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The manager keeps what it prints, and others read that.
    for said in [server.stdout(), server.stderr()] {
        assert!(!said.contains(token.trim()), "{said}");
    }
    if cfg!(feature = "grpc") {
        assert!(server.stderr().contains(&format!("http://{}", grpc.local_addr().unwrap())), "{}", server.stderr());
    }
    assert!(server.stop().success());
    // The sink has ended in order, and the manager still has its sockets.
    TcpStream::connect(("127.0.0.1", port)).unwrap();
}

#[test]
fn a_sink_that_cannot_start_gives_the_port_up() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("tally.db"), NO_DATABASE).unwrap();
    let [http, grpc] = sockets();
    let failed = Output::of(activated(&env, &[&http, &grpc], "")).fails(1);
    assert!(failed.stderr.contains("tally.db"), "{failed}");
    for socket in [&http, &grpc] {
        let refused = TcpStream::connect(socket.local_addr().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

/// Also one that cannot even read its settings, or its command line.
#[test]
fn settings_that_cannot_be_read_give_the_port_up() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), "[sink]\nzz = 1\n").unwrap();
    for (args, code, said) in [("", 1, "zz"), ("--no-such-option", 2, "no-such-option")] {
        let [http, grpc] = sockets();
        let failed = Output::of(activated(&env, &[&http, &grpc], args)).fails(code);
        assert!(failed.stderr.contains(said), "{failed}");
        let refused = TcpStream::connect(http.local_addr().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{args}");
    }
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn codex_is_not_held_up_by_a_sink_that_cannot_start() {
    let env = TestEnv::new();
    let [http, grpc] = sockets();
    let address = http.local_addr().unwrap();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("tally.db"), NO_DATABASE).unwrap();
    let _ = Output::of(activated(&env, &[&http, &grpc], "")).fails(1);
    let model = MockModel::start([1, 2].map(|_| Step::message("done")).to_vec());
    let table = |exporter: &str| {
        let otel = format!("exporter = {exporter}\ntrace_exporter = \"none\"\nmetrics_exporter = \"none\"");
        otel.parse::<toml::Table>().unwrap()
    };
    let timed = |otel: toml::Table| {
        let mut codex = Codex::new(&env, &model).otel(otel);
        let began = Instant::now();
        codex.exec(&["hello"]);
        began.elapsed()
    };
    let without = timed(table("\"none\""));
    let with = timed(table(&format!(
        "{{ otlp-http = {{ endpoint = \"http://{address}/v1/logs\", protocol = \"binary\" }} }}"
    )));
    // A second is promised. Ten is what a port costs that is held and never answers.
    assert!(with < without + Duration::from_secs(5), "{with:?} instead of {without:?}");
}

#[test]
fn a_home_has_one_sink() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let second = env.run(&["serve", "--http", "127.0.0.1:0", "--grpc", "none"]).fails(1);
    assert!(second.stderr.contains("another sink runs for"), "{second}");
    assert!(second.stderr.contains(&format!("http://127.0.0.1:{}", server.port())), "{second}");
    assert!(server.stop().success());
    assert!(env.serve(&[]).stop().success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_port_that_is_taken_names_its_holder() {
    let env = TestEnv::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let failed = env.run(&["serve", "--http", &address, "--grpc", "none"]).fails(1);
    assert!(failed.stderr.contains(&format!("(process {}) listens there", std::process::id())), "{failed}");
}

#[test]
fn the_service_is_printed() {
    let env = TestEnv::new();
    let printed = env.run(&["service", "print", "--manager", "systemd", "--http", "127.0.0.1:5318"]).ok().stdout;
    for part in ["ListenStream=127.0.0.1:5318", "ListenStream=127.0.0.1:4317", "serve", "Requires=codex-tally.socket"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    assert!(printed.contains(&format!("\"--home\" \"{}\" \"serve\"", env.home().display())), "{printed}");
    assert!(printed.contains(&format!("Environment=\"CODEX_HOME={}\"", env.codex_home().display())), "{printed}");
    let fleet =
        ["service", "print", "--manager", "systemd", "--auth", "none", "--db", "sqlite:/srv/a.db", "--grpc", "none"];
    let fleet = env.run(&fleet).ok().stdout;
    assert!(
        fleet.contains("\"--db\" \"sqlite:/srv/a.db\"") && fleet.contains("\"serve\" \"--auth\" \"none\""),
        "{fleet}"
    );
    assert_eq!(fleet.matches("ListenStream").count(), 1, "{fleet}");
    let plist = env.run(&["service", "print", "--manager", "launchd", "--sync"]).ok().stdout;
    assert!(plist.contains("<string>sync</string>") && plist.contains("<integer>900</integer>"), "{plist}");
}

/// All of it, with names that mean something to systemd; what it does not understand it says, and goes on.
#[test]
#[cfg_attr(not(systemd), ignore = "no systemd-analyze")]
fn systemd_understands_the_units() {
    let env = TestEnv::new();
    let folder = env.root().join("units");
    std::fs::create_dir(&folder).unwrap();
    let odd = env.root().join("a b 100% $HOME \"'\\");
    for more in [&["--auth", "none"][..], &["--sync"]] {
        let args = [&["--home", odd.to_str().unwrap(), "service", "print", "--manager", "systemd"], more].concat();
        let mut print = env.tally(&args);
        print.env("CODEX_HOME", &odd);
        let printed = Output::of(print).ok().stdout;
        let mut units = Vec::new();
        // Each is headed by its path.
        for unit in printed.split(&format!("# {}/", env.user_home().join(".config/systemd/user").display())).skip(1) {
            let (name, text) = unit.split_once('\n').unwrap();
            std::fs::write(folder.join(name), text).unwrap();
            units.push(folder.join(name));
        }
        assert_eq!(units.len(), 2, "{printed}");
        let mut verify = env.command("systemd-analyze");
        verify.args(["--user", "--man=no", "verify"]).args(&units).env("XDG_RUNTIME_DIR", env.root());
        let said = Output::of(verify).ok();
        assert!(said.stderr.is_empty() && said.stdout.is_empty(), "{said}");
    }
}

/// A service manager of the test's own, that tells what it was asked for.
struct Manager<'a> {
    env: &'a TestEnv,
}

impl<'a> Manager<'a> {
    /// One that says this to everything, with this exit code.
    fn says(env: &'a TestEnv, error: &str, code: u8) -> Self {
        let bin = env.root().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let asked = env.root().join("asked");
        let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\n{error}\nexit {code}\n", asked.display());
        for name in ["systemctl", "launchctl"] {
            std::fs::write(bin.join(name), &script).unwrap();
            rustix::fs::chmod(bin.join(name), rustix::fs::Mode::from_raw_mode(0o700)).unwrap();
        }
        Manager { env }
    }

    fn call(&self, args: &[&str]) -> Output {
        let mut command = self.env.tally(args);
        let bin = self.env.root().join("bin");
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        Output::of(command)
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.env.root().join("asked")).unwrap_or_default()
    }

    /// Everything below the folder of units.
    fn units(&self) -> Vec<String> {
        let folder = self.env.user_home().join(".config/systemd/user");
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const INSTALL: [&str; 4] = ["service", "install", "--manager", "systemd"];
const REMOVE: [&str; 4] = ["service", "remove", "--manager", "systemd"];

#[test]
fn the_service_is_installed_and_removed() {
    let env = TestEnv::new();
    // In the place of what systemd would start.
    let sink = env.serve(&[]);
    let address = format!("127.0.0.1:{}", sink.port());
    let systemd = Manager::says(&env, "", 0);
    let installed = systemd.call(&[&INSTALL[..], &["--http", &address]].concat()).ok();
    assert!(installed.stderr.contains(&format!("the sink listens on http://{address} now")), "{installed}");
    assert_eq!(systemd.units(), ["codex-tally.service", "codex-tally.socket"]);
    let _ = systemd.call(&[&INSTALL[..], &["--sync"]].concat()).ok();
    assert_eq!(systemd.units().len(), 4);
    // Both go, with nobody having to know what was installed.
    let _ = systemd.call(&REMOVE).ok();
    assert!(systemd.units().is_empty());
    let again = systemd.call(&REMOVE).ok();
    assert!(again.stderr.contains("there is no such service"), "{again}");
    assert_eq!(
        systemd.asked(),
        "--user daemon-reload\n--user --all reset-failed codex-tally*\n\
         --user --quiet enable codex-tally.socket codex-tally.service\n\
         --user restart codex-tally.socket codex-tally.service\n\
         --user daemon-reload\n--user --all reset-failed codex-tally*\n\
         --user --quiet enable codex-tally-sync.timer\n--user restart codex-tally-sync.timer\n\
         --user --quiet disable --now codex-tally.socket codex-tally.service\n\
         --user daemon-reload\n--user --all reset-failed codex-tally*\n\
         --user --quiet disable --now codex-tally-sync.timer\n\
         --user daemon-reload\n--user --all reset-failed codex-tally*\n"
    );
}

/// systemd starts a program and is content; whether a sink came of it is asked of the sink.
#[test]
fn a_service_whose_sink_does_not_start_is_no_success() {
    let env = TestEnv::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let failed = Manager::says(&env, "", 0).call(&[&INSTALL[..], &["--http", &free]].concat()).fails(1);
    assert!(failed.stderr.contains(&format!("its sink does not answer on {free}")), "{failed}");
    assert!(failed.stderr.contains("journalctl --user -u codex-tally"), "{failed}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_service_whose_port_is_taken_names_the_holder() {
    let env = TestEnv::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let systemd = Manager::says(&env, "[ \"$2\" = restart ] && echo 'Job failed.' >&2 || exit 0", 1);
    let failed = systemd.call(&[&INSTALL[..], &["--http", &address]].concat()).fails(1);
    let taken = format!("{address} is taken: `");
    assert!(failed.stderr.contains(&taken), "{failed}");
    assert!(failed.stderr.contains(&format!("(process {}) listens there", std::process::id())), "{failed}");
    let left = "when it is free, run\n  systemctl --user restart codex-tally.socket codex-tally.service";
    assert!(failed.stderr.contains(left), "{failed}");
}

/// A shell of `su` or `sudo`, and most containers.
#[test]
fn without_a_service_manager_it_is_said_what_is_left_to_do() {
    let env = TestEnv::new();
    let systemd = Manager::says(&env, "echo 'Failed to connect to bus: No medium found' >&2", 1);
    let failed = systemd.call(&INSTALL).fails(1);
    for part in [
        "No medium found\nthe files are written. In a session of this user's own",
        "run\n  systemctl --user daemon-reload\n  systemctl --user --all reset-failed 'codex-tally*'\n",
        "\n  systemctl --user restart codex-tally.socket codex-tally.service",
    ] {
        assert!(failed.stderr.contains(part), "{part}\n{failed}");
    }
    // As systemd switches it on.
    let folder = env.user_home().join(".config/systemd/user");
    std::fs::create_dir(folder.join("default.target.wants")).unwrap();
    let link = folder.join("default.target.wants/codex-tally.service");
    std::os::unix::fs::symlink(folder.join("codex-tally.service"), &link).unwrap();
    let failed = systemd.call(&REMOVE).fails(1);
    for part in [
        "removed ",
        "the service's files are removed and no login starts it again, but what may run now was not stopped",
        "run\n  systemctl --user stop codex-tally.socket codex-tally.service\n  systemctl --user daemon-reload",
    ] {
        assert!(failed.stderr.contains(part), "{part}\n{failed}");
    }
    assert!(!link.is_symlink());
    assert_eq!(systemd.units(), ["default.target.wants"]);
    // A machine without systemd has nothing that it could have started.
    let _ = systemd.call(&INSTALL).fails(1);
    let mut without = env.tally(&REMOVE);
    without.env("PATH", env.root());
    let _ = Output::of(without).ok();
    assert_eq!(systemd.units(), ["default.target.wants"]);
}

#[test]
fn uninstall_and_doctor_know_of_the_service() {
    let env = TestEnv::new();
    let _ = Manager::says(&env, "", 1).call(&["service", "install"]).fails(1);
    let said = env.run(&["uninstall", "--yes"]).ok();
    assert!(said.stderr.contains("`codex-tally service remove`"), "{said}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::create_dir_all(env.home()).unwrap();
    std::fs::write(env.home().join("config.toml"), format!("[sink]\nhttp = \"{free}\"\n")).unwrap();
    let said = env.run(&["doctor", "--codex", "/nonexistent/codex"]).stdout;
    let (_, sink) = said.split_once("\nwarn  sink").unwrap_or_else(|| panic!("{said}"));
    let next = sink.lines().nth(1).unwrap();
    let restart =
        if cfg!(target_os = "macos") { "launchctl kickstart" } else { "systemctl --user restart codex-tally.socket" };
    assert!(sink.contains("whether Codex sends anything there is not known") && next.contains(restart), "{said}");
}

#[test]
fn each_home_has_its_own_service_and_only_what_can_start_is_installed() {
    let env = TestEnv::new();
    let sink = env.serve(&[]);
    let address = format!("127.0.0.1:{}", sink.port());
    let systemd = Manager::says(&env, "", 0);
    let said = systemd.call(&[&INSTALL[..], &["--http", &address]].concat()).ok();
    assert!(said.stderr.contains("go by 127.0.0.1:4318"), "both sides are named: {said}");
    // Another home, whose path is the beginning of this one's.
    let home = env.home().display().to_string();
    let other = &home[..home.len() - 1];
    let refused = systemd.call(&[&["--home", other][..], &INSTALL].concat()).fails(1);
    assert!(refused.stderr.contains("the service of another home"), "{refused}");
    for args in [&["--home", other, "uninstall", "--yes"][..], &[&["--home", other][..], &REMOVE].concat()] {
        let _ = systemd.call(args).ok();
        assert_eq!(systemd.units(), ["codex-tally.service", "codex-tally.socket"], "{args:?}");
    }
    let _ = systemd.call(&REMOVE).ok();
    assert!(systemd.units().is_empty());
    for (args, says) in [
        (&["--auth", "none", "--http", "0.0.0.0:4318"][..], "loopback only"),
        (&["--http", "0.0.0.0:4318"], "tls_cert"),
        (&["--http", "127.0.0.1:5000", "--grpc", "127.0.0.1:5000"], "cannot both listen"),
    ] {
        let refused = systemd.call(&[&INSTALL[..], args].concat()).fails(1);
        assert!(refused.stderr.contains(says), "{refused}");
        assert!(systemd.units().is_empty(), "{args:?}");
    }
}

#[test]
#[cfg(feature = "tls")]
fn a_service_that_speaks_tls_is_installed() {
    let file = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name);
    let env = TestEnv::new();
    let sink = |port: u16| {
        let tls = format!("tls_cert = {:?}\ntls_key = {:?}\n", file("server.pem"), file("server.key"));
        std::fs::create_dir_all(env.home()).unwrap();
        let text = format!("[sink]\nhttp = \"127.0.0.1:{port}\"\ngrpc = \"none\"\n{tls}");
        std::fs::write(env.home().join("config.toml"), text).unwrap();
    };
    sink(0);
    let server = crate::support::Server::start(env.tally(&["serve"]));
    sink(server.port());
    let systemd = Manager::says(&env, "", 0);
    let said = systemd.call(&INSTALL).ok();
    assert!(said.stderr.contains(&format!("listens on https://127.0.0.1:{} now", server.port())), "{said}");
    assert!(server.stop().success());
    let said = systemd.call(&INSTALL).fails(1);
    assert!(said.stderr.contains("does not answer"), "{said}");
}
