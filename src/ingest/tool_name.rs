//! The name of a tool as the user knows it: the one that Codex gives its hooks.

/// Names a tool by its namespace and its own name as transcripts and OTLP give them (Codex 0.42 to 0.169).
///
/// A command is `Bash` whatever the version calls its tool; a tool of an MCP server is `mcp__server__tool`.
pub fn tool_name(namespace: Option<&str>, tool: &str) -> String {
    const COMMANDS: [&str; 5] = ["exec_command", "shell", "shell_command", "local_shell", "unified_exec"];
    match namespace {
        Some(ns) if ns.starts_with("mcp__") => format!("{ns}__{tool}"),
        None | Some("" | "functions") if COMMANDS.contains(&tool) => "Bash".to_string(),
        _ => tool.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::tool_name;

    #[test]
    fn names_are_those_of_hooks() {
        assert_eq!(tool_name(Some("functions"), "exec_command"), "Bash");
        assert_eq!(tool_name(None, "shell"), "Bash");
        assert_eq!(tool_name(Some("mcp__tiny"), "echo"), "mcp__tiny__echo");
        assert_eq!(tool_name(Some("collaboration"), "spawn_agent"), "spawn_agent");
        assert_eq!(tool_name(Some("functions"), "apply_patch"), "apply_patch");
    }
}
