//! Secrets in the forms that people and programs write them in, and everyday text, which stays.

use super::*;

#[test]
fn keys_of_known_forms_go() {
    for key in [
        "sk-proj-abcdEFGH1234abcdEFGH1234",
        "sk-ant-api03-AAAAbbbbCCCC1111dddd",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
        "glpat-abcdefghijklmnopqrst",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "xoxb-123456789012-abcdefGHIJKL",
        "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "SG.abcdefghijklmnop.qrstuvwxyz0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY",
        "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
        "xK9mQ2vL8pR4tW7nB3cY6",
    ] {
        for text in [key.to_string(), format!("use {key}, please"), format!("\"{key}\""), format!("a={key}&b=1")] {
            let redacted = redact(&text);
            assert!(redacted.contains(GONE), "{text}: {redacted}");
            let parts = key.split(['/', '.', '=']).filter(|part| part.len() > 5);
            parts.for_each(|part| assert!(!redacted.contains(part), "{text}: {redacted}"));
        }
    }
}

#[test]
fn what_is_called_a_secret_goes_however_it_looks() {
    for (text, without) in [
        ("export DB_PASSWORD=hunter2", "export DB_PASSWORD=[redacted]"),
        ("password: hunter2\nuser: ann", "password: [redacted]\nuser: ann"),
        ("{\"api_key\": \"hunter2\", \"n\": 1}", "{\"api_key\": \"[redacted]\", \"n\": 1}"),
        ("{\\\"token\\\":\\\"hunter2\\\"}", "{\\\"token\\\":\\\"[redacted]\\\"}"),
        ("login --password hunter2 --user ann", "login --password [redacted] --user ann"),
        ("login --password --stdin", "login --password --stdin"),
        ("PASSWORD=!hunter2# x", "PASSWORD=[redacted] x"),
        ("password:\nnext line", "password:\nnext line"),
        ("please use basic tools", "please use basic [redacted]"),
        ("login --token=hunter2 x", "login --token=[redacted] x"),
        ("MY_SECRET = 'hunter2!#$' # x", "MY_SECRET = '[redacted]' # x"),
        ("curl -H 'Authorization: Bearer hunter2' url", "curl -H 'Authorization: Bearer [redacted]' url"),
        ("curl -H 'Authorization: Basic YW5uOng=' url", "curl -H 'Authorization: Basic [redacted]' url"),
        ("psql postgres://ann:hunter2@db/x", "psql postgres://ann[redacted]@db/x"),
        ("git clone https://u:p%40ss@h.example/r", "git clone https://u[redacted]@h.example/r"),
    ] {
        assert_eq!(redact(text), without);
    }
}

#[test]
fn private_keys_go_whole() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\ndef\n-----END RSA PRIVATE KEY-----";
    assert_eq!(redact(&format!("a\n{key}\nb")), "a\n[redacted]\nb");
    assert_eq!(redact(&format!("a\n{}\nb", key.replace('\n', "\\n"))), "a\n[redacted]\nb");
    assert_eq!(redact("a -----BEGIN OPENSSH PRIVATE KEY-----\nabc"), "a [redacted]");
    assert!(redact("-----BEGIN CERTIFICATE-----\nabc").contains("abc"));
}

#[test]
fn everyday_text_stays() {
    for text in [
        "",
        "echo hello; sleep 0.2",
        "cargo test --lib attribution::tests::joining -- --nocapture",
        "sed -n '1,40p' src/ingest/transcript/decode.rs",
        "/Users/ann/Projects/MyApp2/Sources/ViewController.swift",
        "git log --oneline 3f2a9c4",
        "01a1fbc1-b2d8-74a2-955e-70a1f37fabfe",
        "https://example.com/a/b?c=d&e=f",
        "https://example.com:8080/path",
        "max_tokens: 4096, token_count=12",
        "Übergrößenträger – naïve café, 日本語",
        "the password is asked for later",
        "a_rather_long_function_name_in_snake_case()",
        "ARatherLongTypeNameInCamelCase",
        "tokens",
        "-----",
        "curl https://example.com/a -a",
        "see https: -a is all, http -v x",
        "the vault is locked",
        "git log --format=short && vault status",
        "net use of memory is high",
        "net use x: \\\\host\\share /persistent:yes",
        "cat <<< word",
        "rsync -avu host:/srv/x . && grep -ru note: src",
        "ls -lu; sort -u names; git push -u origin main",
    ] {
        assert_eq!(redact(text), text);
    }
}

/// Each with what may not be left of it.
const LEAKS: [&str; 142] = [
    "DB_PASS=hunter2",
    "SMTP_PASS: hunter2",
    "MYSQL_PWD=hunter2",
    "pwd=hunter2",
    "TOKEN_SECRET=hunter2",
    "TOKEN_SECRET=13572468",
    "TOKEN_PASSWORD=hunter2",
    "GITHUB_TOKEN_PROD=hunter2",
    "GITHUB_TOKEN_PROD=13572468",
    "secret_tokens=hunter2",
    "redis://:hunter2@h:6379/0",
    "postgres://ann:hun@ter2@db/x",
    "postgres://ann:hun/ter2@db/x",
    "postgres://ann:hun:ter2@db/x",
    "export DATABASE_URL=\"amqps://ann:hunter2@mq.example\"",
    "ann:hunter2@tcp(localhost:3306)/db",
    "PASSPHRASE='correct hunter2 battery'",
    "passphrase: correct hunter2 battery",
    "password = \"correct hunter2 battery\"",
    "password: correct hunter2 battery",
    "  password: correct hunter2 battery\n  user: ann",
    "login --password 'correct hunter2 staple' x",
    "login --password=\"correct hunter2 staple\" x",
    "login --password \\\n  hunter2",
    "PASSWORD='hun'\"'\"'ter2 x'",
    "PASSWORD=$'hunter2'",
    "password = b\"correct hunter2\"",
    "password = \"\"\"correct hunter2\"\"\"",
    "password='it\\'s hunter2'",
    "password := \"hunter2\"",
    "'password' => 'hunter2'",
    "if password == \"hunter2\"",
    "def f(user, password: str = \"hunter2\"):",
    "const apiToken: string = 'hunter2';",
    "let password: &str = \"hunter2\";",
    "conf[\"password\"] = \"hunter2\"",
    "user.set_password(\"hunter2\")",
    "os.getenv(\"DB_PASSWORD\", \"hunter2\")",
    "setenv DB_PASSWORD hunterx",
    "ENV DB_PASSWORD hunterx",
    "{\"password\": {\"value\": \"hunter2\"}}",
    "{\"password\": [\"x\", \"hunter2\"]}",
    "{\"auth\":\"YW5uOmh1bnRlcjI=\"}",
    "{\\\"password\\\": \\\"correct hunter2\\\"}",
    "{\\\\\\\"password\\\\\\\": \\\\\\\"correct hunter2\\\\\\\"}",
    "{\"name\": \"DB_PASSWORD\", \"value\": \"hunter2\"}",
    "- name: DB_PASSWORD\n  value: hunter2",
    "password: |\n  correct\n  hunter2\nuser: ann",
    "<password>hunter2</password>",
    "<ns:Password type=\"x\">correct hunter2</ns:Password>",
    "<string name=\"api_key\">hunter2</string>",
    "<key>Password</key>\n  <string>hunter2</string>",
    "<add key=\"DbPassword\" value=\"hunter2\"/>",
    "ENCRYPTION_KEY=hunter2",
    "encryptionKey: hunter2",
    "AccountKey=hunter2;EndpointSuffix=x",
    "https://x.example/a?b=1&key=hunter2",
    "KEY=hunter2",
    "Server=db;User Id=sa;Password=hunter2;Encrypt=true",
    "Server=db;User Id=sa;Pwd={correct hunter2};Encrypt=true",
    "Cookie: session=hunter2",
    "Cookie: a=b; session=hunter2",
    "Set-Cookie: a=b; session=hunter2; Path=/",
    "curl -H 'Cookie: a=b; session=hunter2' x",
    "curl -b 'a=b; session=hunter2' x",
    "curl --cookie 'a=b; session=hunter2' x",
    "document.cookie = \"a=b; session=hunter2\"",
    "X-Auth-Key: hunter2",
    "curl -H \"X-Api-Key: hunter2\" x",
    "Authorization: ApiKey hunter2",
    "Authorization: Digest username=\"a\", response=\"hunter2\"",
    "Authorization: hunter2",
    "Proxy-Authorization: Custom a hunter2",
    "curl -H \"Authorization: Custom a=b, c=hunter2\" x",
    "{\"Authorization\": \"Custom a hunter2\"}",
    "{'Authorization': f'Bearer {a} hunter2'}",
    "{\"cmd\": \"curl -H \\\"Authorization: Custom a hunter2\\\" x\"}",
    "curl -u admin:hunter2 https://x",
    "curl -uadmin:hunter2 https://x",
    "curl -u 'admin:correct hunter2' https://x",
    "curl --user admin:hunter2 https://x",
    "curl --user=admin:hunter2 https://x",
    "smbclient -U ann%hunter2 //x/y",
    "mysql -u root -phunter2 db",
    "mysqldump -uroot -p'correct hunter2' db",
    "sshpass -p hunter2 ssh x",
    "docker login -u ann -p hunter2",
    "redis-cli -h x -a hunter2",
    "openssl rsa -passin pass:hunter2 -in x",
    "echo hunter2 | docker login --password-stdin",
    "echo 'ann:hunter2' | chpasswd",
    "ALTER USER ann WITH PASSWORD 'correct hunter2'",
    "CREATE USER ann IDENTIFIED BY 'hunter2'",
    "machine github.com login ann password hunterx",
    "apikey hunter2",
    "my password is hunter2",
    "curl -u \"admin:hunter2\" https://x",
    "curl -u \"admin:correct hunter2\" https://x",
    "curl -u admin:'correct hunter2' https://x",
    "curl -u admin:\"hunter2\" https://x",
    "curl -u \"admin\":\"hunter2\" https://x",
    "curl -uadmin:'hunter2' https://x",
    "curl -su admin:hunter2 https://x",
    "curl -sSLu 'admin:hunter2' https://x",
    "curl --user 'admin:hunter2' https://x",
    "curl --proxy-user=\"admin:hunter2\" https://x",
    "lftp -u ann,hunter2 sftp://x",
    "http -a ann:hunter2 GET https://x",
    "https -a 'ann:hunter2' x",
    "http -aann:hunter2 x",
    "http --auth ann:hunter2 x",
    "http --auth=ann:hunter2 x",
    "xh -a ann:hunter2 x",
    "vault kv put secret/x value=hunter2",
    "vault kv put -mount=secret x user=ann value=hunter2",
    "vault kv put secret/x a='correct hunter2' b=hunter2",
    "vault kv patch secret/x \\\n  value=hunter2",
    "/usr/bin/vault write database/config/x connection=hunter2",
    "net use x: \\\\h\\s hunter2 /user:ann",
    "net use \\\\h\\s hunter2 /user:dom\\ann /persistent:no",
    "net use \\\\h\\s /user:ann hunter2",
    "net use \\\\h\\s \"correct hunter2\" /user:ann",
    "net user ann hunter2 /add",
    "mysql -uroot -phunter2 -e 'select 1'",
    "mysql \\\n  -phunter2 db",
    "mysql --password=hunter2 db",
    "sshpass -phunter2 ssh x",
    "sshpass -p 'correct hunter2' ssh x",
    "docker login -u ann -phunter2 registry.example",
    "podman login --password hunter2",
    "PGPASSWORD=hunter2 psql -h db",
    "PGPASSWORD='correct hunter2' psql",
    "sqlplus ann/hunter2@db",
    "htpasswd -nbB admin hunter2",
    "htpasswd -b passwd.txt ann hunter2",
    "ssh-keygen -t ed25519 -N 'correct hunter2' -f k",
    "ipmitool -H h -U ann -P hunter2 power status",
    "docker login --password-stdin <<< hunter2",
    "sudo -S id <<< 'correct hunter2'",
    "kubectl create secret generic x --from-literal=user=hunter2",
    "kubectl create secret generic x --from-literal user=hunter2",
    "keytool -storepass hunter2 -list",
];

#[test]
fn nothing_of_a_password_is_left_wherever_it_stands() {
    let mut left = Vec::new();
    for leak in LEAKS {
        // Alone, in a line of a text, as a word of a command, and as JSON has it.
        let quoted = serde_json::to_string(leak).unwrap();
        for text in [leak.to_string(), format!("first line\n{leak}\nlast line"), format!("run: {leak}"), quoted] {
            let redacted = redact(&text);
            let parts = ["hun", "ter2", "YW5uOmh", "13572468"];
            left.extend(parts.iter().find(|part| redacted.contains(**part)).map(|_| format!("{text} -> {redacted}")));
        }
        let around = redact(&format!("first line\n{leak}\nlast line"));
        let whole = around.starts_with("first line\n") && around.ends_with("\nlast line");
        left.extend((!whole).then(|| format!("too much of {leak}: {around}")));
    }
    assert!(left.is_empty(), "{} leaks:\n{}", left.len(), left.join("\n"));
}

#[test]
fn it_takes_no_time_however_strange_a_text_is() {
    for piece in [
        "password=\"",
        "token={",
        "://a:",
        "<password>",
        "-p",
        "a.",
        "password: ",
        "\\\"key\\\"",
        "password(",
        "=",
        "secret ",
        "echo |",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        let began = std::time::Instant::now();
        let _ = redact(&text);
        assert!(began.elapsed().as_secs() < 10, "{piece}: {:?}", began.elapsed());
    }
}

#[test]
fn no_text_is_too_strange_for_it() {
    const PIECES: [&str; 44] = [
        "password",
        "Authorization",
        "key",
        "Cookie",
        "token_count",
        "-u",
        "-p",
        "--password",
        "mysql",
        "echo",
        "Bearer",
        "login",
        "is",
        "value",
        "BY",
        "IDENTIFIED",
        "ENV",
        "hunter2",
        "ü",
        "日本",
        "\\",
        "\"",
        "'",
        "`",
        "=",
        ":",
        " ",
        "\n",
        "\\n",
        "<",
        ">",
        "</",
        "(",
        "{",
        "[",
        "}",
        "]",
        ",",
        "|",
        "://",
        "@",
        "@tcp(",
        "-----BEGIN PRIVATE KEY",
        "${",
    ];
    let mut state = 1_u64;
    for _ in 0..60_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += PIECES[usize::try_from(state >> 33).unwrap() % PIECES.len()];
        }
        let _ = redact(&text);
    }
}
