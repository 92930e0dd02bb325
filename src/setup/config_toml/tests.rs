//! Files with our part put in and taken out.

use super::*;

const COMMAND: &str = "/usr/local/bin/codex-tally-hook";

fn wanted() -> AddToml {
    let otel = Otel {
        endpoint: "http://127.0.0.1:4318/v1/logs".to_string(),
        headers: vec![("authorization".to_string(), "Bearer abc".to_string())],
    };
    AddToml { command: Some(COMMAND.to_string()), exporter: Some(otel), ..AddToml::default() }
}

fn take_out(text: &str, added: &Added) -> String {
    let ours = |event: &str, command: &str| command == COMMAND && added.events.iter().any(|e| e == event);
    remove(text, &ours, added, &[], &["/h/config.toml".to_string()]).unwrap()
}

/// Files as people have them.
const FILES: &[&str] = &[
    "",
    "model = \"gpt-5.5\"   # keep\n",
    "model = \"gpt-5.5\"",
    "model = \"gpt-5.5\"\n# the end, without a line",
    "# windows\r\nmodel = \"x\"\r\n\r\n[otel]\r\nenvironment = \"dev\"\r\n",
    "[otel]\nenvironment = \"dev\"\n# mine\nlog_user_prompt = false\n\n[tui]\ntheme = \"x\"\n",
    "[otel]",
    "[otel]\nexporter = 'none' # off\ntrace_exporter = \"none\"\n",
    "[otel.span_attributes]\nteam = \"x\"\n",
    "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"say done\"\n\n[hooks.state]\n\n\
     [hooks.state.\"/h/config.toml:stop:0:0\"]\ntrusted_hash = \"sha256:1\"\n\n[features]\nweb = true\n",
    "\u{feff}model = \"x\"\n",
    "text = \"\"\"\n[[hooks.Stop]]\n[otel]\nexporter = 1\n\"\"\"\n",
    "[otel] # where to\n\n\n# nothing yet\n[tui]\n",
    "[hooks]\nmanaged_dir = \"/x\"\n\n\n[projects.'/a']\ntrust_level = \"trusted\"\n\n\n",
];

#[test]
fn what_is_put_in_comes_out_to_the_byte() {
    for text in FILES {
        let edited = add(text, &wanted()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let value: toml::Table = edited.text.parse().unwrap();
        for (event, timeout) in EVENTS {
            let groups = value["hooks"][event].as_array().unwrap();
            let handler = &groups.last().unwrap()["hooks"][0];
            assert_eq!(handler["command"].as_str(), Some(COMMAND), "{event} in {}", edited.text);
            assert_eq!(handler["timeout"].as_integer(), Some(i64::from(timeout)));
        }
        assert_eq!(
            value["otel"]["exporter"]["otlp-http"]["headers"]["authorization"].as_str(),
            Some("Bearer abc"),
            "{text}"
        );
        assert_eq!(value["otel"]["trace_exporter"].as_str(), Some("none"));
        assert_eq!(add(&edited.text, &wanted()).unwrap().text, edited.text, "twice is once: {text}");
        assert_eq!(take_out(&edited.text, &edited.added), *text, "with it: {}", edited.text);
        let windows = text.contains("\r\n");
        assert_eq!(edited.text.matches("\r\n").count(), if windows { edited.text.matches('\n').count() } else { 0 });
    }
}

#[test]
fn without_hooks_it_comes_back_as_well() {
    for text in FILES {
        let edited = add(text, &AddToml { command: None, ..wanted() }).unwrap();
        assert_eq!(take_out(&edited.text, &edited.added), *text, "with it: {}", edited.text);
    }
}

#[test]
fn what_several_calls_put_in_comes_out_at_once() {
    for text in FILES {
        let first = add(text, &AddToml { exporter: None, ..wanted() }).unwrap();
        let second = add(&first.text, &wanted()).unwrap();
        assert_eq!(take_out(&second.text, &first.added.and_then(second.added)), *text, "with it: {}", second.text);
    }
}

#[test]
fn trust_in_ours_goes_and_trust_in_others_follows_them() {
    let edited = add(FILES[9], &wanted()).unwrap();
    // As Codex writes it, between our tables; and the user has added a hook behind ours.
    let trust = |event: &str, place: u32| {
        format!("[hooks.state.\"/h/config.toml:{event}:{place}:0\"]\ntrusted_hash = \"sha256:{event}{place}\"\n\n")
    };
    let ours = [trust("session_start", 0), trust("stop", 1)].concat();
    let later = "\n[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"later\"\n";
    let with = edited.text.replace("[features]\n", &format!("{ours}{}[features]\n", trust("stop", 2))) + later;
    let without = take_out(&with, &edited.added);
    let expected =
        FILES[9].replace("[features]\n", &format!("{}[features]\n", trust("stop", 1).replace("stop1", "stop2")));
    assert_eq!(without, expected + later);
}

#[test]
fn a_table_of_trust_that_was_not_there_goes_again() {
    let edited = add("model = \"x\"\n", &wanted()).unwrap();
    let at = edited.text.find("\n[[hooks.UserPromptSubmit]]").unwrap();
    let state = "\n[hooks.state]\n\n[hooks.state.\"/h/config.toml:stop:0:0\"]\ntrusted_hash = \"sha256:1\"\n";
    let with = format!("{}{state}{}", &edited.text[..at], &edited.text[at..]);
    assert_eq!(take_out(&with, &edited.added), "model = \"x\"\n");
}

#[test]
fn later_edits_stay() {
    let edited = add("model = \"x\"\n", &wanted()).unwrap();
    let with =
        edited.text.replace("trace_exporter = \"none\"\n", "trace_exporter = \"none\"\nenvironment = \"later\"\n");
    let with = with.replace("model = \"x\"", "model = \"y\"") + "\n[tui]\ntheme = \"later\"\n";
    let expected = "model = \"y\"\n\n[otel]\nenvironment = \"later\"\n\n[tui]\ntheme = \"later\"\n";
    assert_eq!(take_out(&with, &edited.added), expected);
}

#[test]
fn an_exporter_that_is_set_is_kept() {
    let text =
        "[otel]\nexporter = { otlp-http = { endpoint = \"https://example.com/v1/logs\", protocol = \"json\" } }\n";
    let edited = add(text, &wanted()).unwrap();
    assert!(edited.kept_exporter.unwrap().contains("example.com"));
    assert!(edited.text.starts_with(text) && edited.added.otel.is_empty());
    assert_eq!(take_out(&edited.text, &edited.added), text);
    let table = "[otel.exporter.otlp-http]\nendpoint = \"https://example.com/v1/logs\"\nprotocol = \"json\"\n";
    assert_eq!(add(table, &wanted()).unwrap().kept_exporter.as_deref(), Some("https://example.com/v1/logs"));
    // To our sink, without a token: brought up to date, and given back.
    let bare =
        "[otel]\nexporter = { otlp-http = { endpoint = 'http://127.0.0.1:4318/v1/logs', protocol = \"json\" } }\n";
    let edited = add(bare, &wanted()).unwrap();
    assert!(edited.kept_exporter.is_none() && edited.text.contains("Bearer abc"), "{}", edited.text);
    assert_eq!(take_out(&edited.text, &edited.added), bare);
    // Ours with another token or port is replaced, if it is the one that was put in.
    let first = add("model = \"x\"\n", &wanted()).unwrap();
    let mut other = wanted();
    other.exporter.as_mut().unwrap().headers[0].1 = "Bearer def".to_string();
    other.replaces = first.added.exporter.clone();
    let second = add(&first.text, &other).unwrap();
    assert!(second.text.contains("Bearer def") && !second.text.contains("Bearer abc"));
    assert_eq!(take_out(&second.text, &first.added.and_then(second.added)), "model = \"x\"\n");
}

#[test]
fn a_hook_that_is_there_by_any_path_is_not_registered_again() {
    let text = "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"/opt/codex-tally-hook\"\n";
    let edited = add(text, &wanted()).unwrap();
    assert!(!edited.added.events.contains(&"Stop".to_string()));
    assert_eq!(edited.added.events.len(), EVENTS.len() - 1);
    assert_eq!(take_out(&edited.text, &edited.added), text);
}

#[test]
fn forms_that_cannot_be_added_to_are_refused() {
    for text in [
        "model = \n",
        "hooks = { Stop = [] }\n",
        "otel = { environment = \"x\" }\n",
        "hooks.Stop = []\n",
        "[hooks]\nStop = []\n",
        "otel.environment = \"x\"\n",
        "otel = 5\n",
    ] {
        assert!(add(text, &wanted()).is_err(), "{text}");
    }
}

#[test]
fn the_managed_layer_names_where_its_hooks_come_from() {
    let wanted = AddToml { managed_dir: Some("/usr/local/bin".to_string()), ..wanted() };
    for text in ["", "allow_managed_hooks_only = true\n", "[hooks]\nmanaged_dir = \"/opt\"\n"] {
        let edited = add(text, &wanted).unwrap();
        let value: toml::Table = edited.text.parse().unwrap();
        assert!(value["hooks"]["managed_dir"].is_str());
        assert_eq!(add(&edited.text, &wanted).unwrap().text, edited.text);
        assert_eq!(take_out(&edited.text, &edited.added), text);
    }
}

/// Pieces that a configuration is made of; all of them can stand behind each other once.
const PIECES: [&str; 12] = [
    "# a remark\n",
    "\n",
    "\n\n\n",
    "[tui]\ntheme = 'x' # y\n",
    "[projects.\"/a b\"]\ntrust_level = \"trusted\"\n",
    "[mcp_servers.x]\ncommand = \"\"\"\n[[hooks.Stop]]\n\"\"\"\nargs = [\n  \"a\", # b\n]\n",
    "[otel]\nenvironment = \"dev\"\n",
    "[[hooks.Stop]]\nmatcher = \"x\"\n[[hooks.Stop.hooks]]\ntype = \"command\"\ncommand = \"mine\"\n",
    "[[hooks.PostToolUse]]\n  [[hooks.PostToolUse.hooks]]\n  type = \"command\"\n  command = \"mine\"\n",
    "[hooks.state]\n",
    "[hooks.state.'/h/config.toml:stop:0:0']\ntrusted_hash = \"sha256:1\"\n",
    "[features]\nx = true\n",
];

proptest::proptest! {
    #[test]
    fn any_configuration_comes_back(
        order in proptest::sample::subsequence((0..PIECES.len()).collect::<Vec<_>>(), 0..PIECES.len()),
        seed in 0_usize..1000, windows: bool, unfinished: bool,
    ) {
        let mut order = order;
        if !order.contains(&7) {
            // Trust in a hook that is not there would be taken for trust in ours, which gets its place.
            order.retain(|piece| *piece != 10);
        }
        for at in (1..order.len()).rev() {
            order.swap(at, (seed * 31 + at * 17) % (at + 1));
        }
        let mut text = format!("model = \"x\"\n{}", order.iter().map(|p| PIECES[*p]).collect::<String>());
        if unfinished {
            text = text.trim_end().to_string();
        }
        if windows {
            text = text.replace('\n', "\r\n");
        }
        let edited = add(&text, &wanted()).unwrap();
        proptest::prop_assert_eq!(&add(&edited.text, &wanted()).unwrap().text, &edited.text);
        let (before, mut after): (toml::Table, toml::Table) = (text.parse().unwrap(), edited.text.parse().unwrap());
        proptest::prop_assert_eq!(&take_out(&edited.text, &edited.added), &text);
        // All that was said before is still said.
        for (key, value) in &before {
            let now = after.remove(key).unwrap();
            if !["hooks", "otel"].contains(&key.as_str()) {
                proptest::prop_assert_eq!(&now, value);
            }
        }
    }
}
