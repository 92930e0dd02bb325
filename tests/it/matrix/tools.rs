//! Tools: failed, unknown, of MCP servers, in parallel. Each response counts once whatever becomes of its calls.

use serde_json::json;

use super::{Rig, run, say, unlike};
use crate::real_codex::{check, rows};
use crate::support::Step;

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn failed_and_unknown_tools_count_their_responses_once() {
    let call = |id: &str, name: &str, arguments| Step::function_call(id, name, &arguments);
    let bad_patch = "*** Begin Patch\n*** Update File: nofile.txt\n@@\n-a\n+b\n*** End Patch";
    let rig = Rig::new(vec![
        run(1, "exit 3"),
        call("unknown", "no_such_tool", json!({"x": 1})).usage(unlike(2)),
        call("arguments", "exec_command", json!({"cmd": 5})).usage(unlike(3)),
        Step::custom_tool_call("patch", "apply_patch", bad_patch).usage(unlike(4)),
        run(5, "kill -9 $$"),
        call("image", "view_image", json!({"path": "/nonexistent.png"})).usage(unlike(6)),
        run(7, "sleep 0.2; echo 7").and(run(8, "echo 8")).and(run(9, "exit 9")).usage(unlike(7)),
        call("yields", "exec_command", json!({"cmd": "sleep 1; echo end", "yield_time_ms": 250})).usage(unlike(8)),
        // The same tokens once more are another response.
        run(10, "echo 10").usage(unlike(8)),
        say(8),
    ]);
    rig.codex().exec(&["first"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 10}));
    check(&rows(&report)[0], &json!({"tool_calls": 11}));
}

/// A server of tools over stdio, in three lines of shell.
const MCP: &str = r#"while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"tiny","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"boom","inputSchema":{"type":"object"}}]}' ;;
    *'"boom"'*) result='{"content":[{"type":"text","text":"no"}],"isError":true}' ;;
    *'"tools/call"'*) result='{"content":[{"type":"text","text":"yes"}]}' ;;
    *) result='{}' ;;
  esac
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"#;

#[test]
#[cfg_attr(not(real_codex), ignore = "no Codex CLI: .ci/run")]
fn tools_of_a_server_count_their_responses_once() {
    let call = |id: &str, name: &str| Step::namespaced_call(id, "mcp__tiny", name, &json!({}));
    let rig = Rig::new(vec![call("good", "echo").and(call("bad", "boom")).usage(unlike(1)), say(2)]);
    let script = rig.env.root().join("mcp.sh");
    std::fs::write(&script, MCP).unwrap();
    let server = format!("[mcp_servers.tiny]\ncommand = \"sh\"\nargs = ['{}']\n", script.display());
    rig.codex().tables(&server).exec(&["first"]);
    let report = rig.agrees(&json!({"hook+otlp+transcript": 2}));
    check(&rows(&report)[0], &json!({"tool_calls": 2, "tool_failures": 1}));
}
