//! temporary
use crate::support::*;
use std::io::{BufReader, Read, Write};

#[test]
#[cfg_attr(not(real_codex), ignore = "no codex")]
fn capture() {
    let env = TestEnv::new();
    let hooks = env.root().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    let script = env.root().join("cap.sh");
    std::fs::write(&script, format!("#!/bin/sh\nenv > {0}/env.$$\ncat > {0}/$(date +%s%N).$$.json\n", hooks.display())).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = l.local_addr().unwrap().port();
    let root = env.root().to_path_buf();
    std::thread::spawn(move || for (i, s) in l.incoming().enumerate() {
        let mut s = s.unwrap(); let root = root.clone();
        std::thread::spawn(move || {
            let mut r = BufReader::new(s.try_clone().unwrap());
            while let Ok(Some(q)) = http::Request::read(&mut r) {
                let mut f = std::fs::OpenOptions::new().create(true).append(true).open(root.join(format!("otlp{i}.log"))).unwrap();
                writeln!(f, "{} {} {:?} {}", q.method, q.path, q.header("authorization"), q.body.len()).unwrap();
                s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        });
    });
    let otel: toml::Table = format!(r#"
exporter = {{ otlp-http = {{ endpoint = "http://127.0.0.1:{port}/v1/logs", protocol = "binary", headers = {{ "authorization" = "Bearer abc" }} }} }}
trace_exporter = "none"
metrics_exporter = "none""#).parse().unwrap();
    let u = |input, cached, cache_write, output, reasoning| Usage { input, cached, cache_write, output, reasoning };
    let model = MockModel::start(vec![
        Step::shell("call_1", "echo hello").usage(u(12000, 4096, 0, 350, 128)),
        Step::add_file("call_2", "a.txt", "hi").usage(u(12500, 11000, 77, 120, 0)),
        Step::message("done").usage(u(12800, 12000, 0, 40, 10)),
        Step::shell("call_3", "exit 3").usage(u(13000, 12000, 0, 40, 10)),
        Step::message("done again").usage(u(13100, 12544, 100, 55, 0)),
    ]);
    let t = std::time::Instant::now();
    let mut codex = Codex::new(&env, &model).hook(script.to_str().unwrap()).otel(otel);
    codex.run(&["exec", "--skip-git-repo-check", "do the thing"]);
    println!("{:?}", t.elapsed());
    codex.run(&["exec", "resume", "--skip-git-repo-check", "--last", "once more"]);
    println!("{:?}", t.elapsed());
    println!("{:?} {}", model.served(), model.steps_left());
    let mut x = String::new();
    std::fs::File::open(env.root().join("codex-1.log")).unwrap().read_to_string(&mut x).unwrap();
    println!("{x}");
    panic!("look");
}
