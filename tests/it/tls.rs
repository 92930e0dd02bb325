//! Encrypted doors, with the authority, the certificates and the keys of `fixtures/tls`.

use crate::support::{Codex, MockModel, Step, TestEnv, Usage, fixture};
use std::path::PathBuf;

fn file(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name).display().to_string()
}

fn client(identity: bool) -> reqwest::blocking::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(&fixture("tls/ca.pem")).unwrap();
    let builder = reqwest::blocking::Client::builder().tls_certs_only([authority]);
    let pem = [fixture("tls/client.pem"), fixture("tls/client.key")].concat();
    let builder = if identity { builder.identity(reqwest::Identity::from_pem(&pem).unwrap()) } else { builder };
    builder.build().unwrap()
}

fn post(env: &TestEnv, url: &str, identity: bool) -> reqwest::Result<u16> {
    let token = std::fs::read_to_string(env.home().join("token")).unwrap();
    let request = client(identity).post(url).bearer_auth(token.trim()).header("content-type", "application/json");
    Ok(request.body(r#"{"resourceLogs":[]}"#).send()?.status().as_u16())
}

/// Starts the sink and waits for its line; it names no http address, so the usual helper does not know it.
fn serve(env: &TestEnv, more: &[&str]) -> (crate::support::Server, u16) {
    let (cert, key) = (file("server.pem"), file("server.key"));
    let server = env.serve(&[&["--tls-cert", &cert, "--tls-key", &key], more].concat());
    let port = server.port();
    (server, port)
}

#[test]
fn a_door_can_be_encrypted_and_ask_for_certificates() {
    let env = TestEnv::new();
    let (server, port) = serve(&env, &[]);
    assert_eq!(post(&env, &format!("https://localhost:{port}/v1/logs"), false).unwrap(), 200);
    assert!(post(&env, &format!("http://localhost:{port}/v1/logs"), false).is_err(), "no plain HTTP at this door");
    assert!(server.stdout().contains("https://127.0.0.1"), "{}", server.stdout());
    assert!(server.stop().success());

    let ca = file("ca.pem");
    let (server, port) = serve(&env, &["--tls-client-ca", &ca]);
    assert_eq!(post(&env, &format!("https://localhost:{port}/v1/logs"), true).unwrap(), 200);
    assert!(post(&env, &format!("https://localhost:{port}/v1/logs"), false).is_err(), "a client without a certificate");
    assert!(server.stop().success());
}

#[test]
fn wrong_files_are_named() {
    let env = TestEnv::new();
    let (cert, key, client_key) = (file("server.pem"), file("server.key"), file("client.key"));
    for (cert, key, said) in
        [(&key, &key, "server.key"), (&cert, &client_key, "client.key"), (&cert, &cert, "server.pem")]
    {
        let args = ["serve", "--http", "127.0.0.1:0", "--grpc", "none", "--tls-cert", cert, "--tls-key", key];
        let failed = env.run(&args).fails(1);
        assert!(failed.stderr.contains(said), "{failed}");
    }
}

#[test]
fn beyond_this_machine_it_is_encrypted_and_guarded() {
    let env = TestEnv::new();
    let anywhere = ["serve", "--http", "0.0.0.0:0", "--grpc", "none"];
    let open = env.run(&[&anywhere[..], &["--auth", "none", "--allow-cleartext"]].concat()).fails(1);
    assert!(open.stderr.contains("without a token"), "{open}");
    let plain = env.run(&anywhere).fails(1);
    assert!(plain.stderr.contains("--tls-cert"), "{plain}");
}

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run, or npm i --prefix target/codex @openai/codex@0.169.0")]
fn codex_speaks_tls_with_the_sink() {
    let env = TestEnv::new().billed_by_the_api();
    let usage = Usage { input: 1_000, cached: 0, cache_write: 0, output: 50, reasoning: 0 };
    let model = MockModel::start(vec![Step::message("done").usage(usage); 2]);
    let (mut server, _) = serve(&env, &["--tls-client-ca", &file("ca.pem"), "--no-follow"]);
    for grpc in [false, true] {
        let mut otel = if grpc { server.otel_over_grpc() } else { server.otel() };
        let kind = if grpc { "otlp-grpc" } else { "otlp-http" };
        let tls = format!(
            "ca-certificate = {:?}\nclient-certificate = {:?}\nclient-private-key = {:?}\n",
            file("ca.pem"),
            file("client.pem"),
            file("client.key")
        );
        let exporter = otel["exporter"][kind].as_table_mut().unwrap();
        exporter.insert("tls".to_string(), tls.parse::<toml::Table>().unwrap().into());
        Codex::new(&env, &model).hidden_home().otel(otel).exec(&["hello"]);
    }
    let report = env.run(&["report", "monthly", "--format", "json", "--no-import"]).ok().json();
    assert_eq!(report["coverage"]["responses_by_source"], serde_json::json!({"otlp": 2}), "{report:#}");
    assert!(server.stop().success());
}
