//! The name of a tool as the user knows it, the same whichever source saw the call.

/// Names a tool call.
///
/// Codex names one tool in several ways: a namespace and a bare name in OTLP and transcripts (`functions` and
/// `exec_command`, from 0.152), a bare name alone in older versions, `Bash` in hooks. The commands of all versions
/// become `Bash`; tools of an MCP server become `mcp__server__tool`; everything else keeps its bare name.
pub fn tool_name(namespace: Option<&str>, tool: &str) -> String {
    match namespace.unwrap_or("") {
        "" | "functions" if is_command(tool) => "Bash".to_string(),
        server if server.starts_with("mcp__") && !tool.starts_with("mcp__") => {
            format!("{}__{tool}", server.trim_end_matches('_'))
        }
        _ => tool.to_string(),
    }
}

/// The names that the tool which runs commands has had between Codex 0.42 and 0.169.
fn is_command(tool: &str) -> bool {
    matches!(tool, "exec_command" | "shell" | "shell_command" | "local_shell" | "unified_exec" | "Bash")
}

#[cfg(test)]
mod tests {
    use super::tool_name;

    #[test]
    fn one_name_whatever_the_source_calls_it() {
        let cases = [
            (Some("functions"), "exec_command", "Bash"),
            (None, "exec_command", "Bash"),
            (None, "shell", "Bash"),
            (None, "Bash", "Bash"),
            (Some(""), "local_shell", "Bash"),
            (Some("functions"), "apply_patch", "apply_patch"),
            (Some("functions"), "exec", "exec"),
            (Some("functions"), "write_stdin", "write_stdin"),
            (Some("mcp__tiny"), "echo", "mcp__tiny__echo"),
            (Some("mcp__tiny__"), "echo", "mcp__tiny__echo"),
            (Some("mcp__tiny"), "mcp__tiny__echo", "mcp__tiny__echo"),
            (Some("mcp__tiny"), "shell", "mcp__tiny__shell"),
            (Some("collaboration"), "spawn_agent", "spawn_agent"),
            (Some("multi_agent_v1"), "wait_agent", "wait_agent"),
            (Some("collaboration"), "shell", "shell"),
            (None, "mcp__tiny__echo", "mcp__tiny__echo"),
        ];
        for (namespace, tool, name) in cases {
            assert_eq!(tool_name(namespace, tool), name, "{namespace:?} {tool}");
        }
    }
}
