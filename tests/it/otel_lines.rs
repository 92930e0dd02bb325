//! What `serve` prints for Codex's configuration, and to whom it tells the token.

use crate::support::TestEnv;
use crate::support::env::Output;
use crate::support::terminal::Terminal;

fn token(env: &TestEnv) -> String {
    std::fs::read_to_string(env.home().join("token")).unwrap().trim().to_string()
}

#[test]
fn the_token_is_not_printed_where_nobody_reads_it() {
    let env = TestEnv::new();
    let mut server = env.serve(&[]);
    let otel = server.otel();
    let (said, token) = (server.stdout(), token(&env));
    assert!(!said.contains(&token) && !server.stderr().contains(&token), "{said}");
    let path = env.home().join("token").display().to_string();
    assert!(said.contains("Bearer <token>") && said.contains(&format!("# <token> is what {path} holds\n")), "{said}");
    // Who puts it in has what works.
    let sent = otel["exporter"]["otlp-http"]["headers"]["authorization"].as_str().unwrap();
    assert_eq!(sent, format!("Bearer {token}"));
    assert!(server.stop().success());

    let terminal = Terminal::start(&env.tally(&["serve", "--http", "127.0.0.1:0", "--grpc", "none", "--no-follow"]));
    terminal.wait("listening on");
    let screen = terminal.screen().replace('\n', "");
    assert!(screen.contains(&token) && !screen.contains("<token>"), "{screen}");
}

#[test]
fn nothing_is_printed_before_it_serves() {
    let env = TestEnv::new();
    let serve = |more: &[&str]| {
        let mut command = env.tally(&["serve", "--http", "127.0.0.1:0", "--grpc", "none"]);
        command.args(more);
        Output::of(command).fails(1)
    };
    let failed = serve(&["--forward", "ftp://otel.example.com"]);
    assert_eq!(failed.stdout, "", "{failed}");
    #[cfg(feature = "tls")]
    assert_eq!(serve(&["--tls-cert", "/nowhere", "--tls-key", "/nowhere"]).stdout, "");
}

#[test]
#[cfg(feature = "tls")]
fn beyond_this_machine_the_lines_have_the_name_of_the_certificate() {
    let env = TestEnv::new();
    let file = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command =
        env.tally(&["serve", "--http", "0.0.0.0:0", "--grpc", "none", "--allow-host", "tally.example.com"]);
    command.args(["--tls-cert", &file("server.pem"), "--tls-key", &file("server.key")]);
    let (said, _terminal) = {
        let terminal = Terminal::start(&command);
        terminal.wait("listening on");
        (terminal.screen(), terminal)
    };
    assert!(said.contains("https://tally.example.com:") && !said.contains("https://0.0.0.0:0/v1"), "{said}");
    assert!(!said.contains("endpoint = \"https://0.0.0.0"), "{said}");
}

#[test]
fn help_and_errors_of_usage_are_without_colours_where_none_are_wanted() {
    let env = TestEnv::new();
    let shown = |args: &str| {
        // A terminal that keeps every byte.
        let line = format!("{} {args}", crate::support::env::TALLY);
        let mut script = env.command("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm");
        Output::of(script).stdout
    };
    for args in
        ["--color never --help", "--color=never sync --help", "--color never nonsense", "nonsense --color never"]
    {
        let said = shown(args);
        assert!(said.len() > 20 && !said.contains('\u{1b}'), "{args}: {said:?}");
    }
    assert!(shown("--help").contains('\u{1b}') && shown("--color always nonsense").contains('\u{1b}'));
}
