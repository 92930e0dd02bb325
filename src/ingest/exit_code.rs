//! The exit code of a command, which Codex writes only into the text of its output.

use serde::Deserialize;

/// How many lines Codex may put before the output itself (seen: four, in 0.169).
const HEAD_LINES: usize = 10;

/// Finds the exit code in the text that Codex puts before a command's output.
///
/// Three forms are known: `Process exited with code N` (`exec_command`), `Exit code: N` (`shell_command` and
/// `apply_patch`), and JSON with `metadata.exit_code` (`shell` of 0.47, `apply_patch` until 0.131). What follows the line
/// `Output:` was written by the command itself and is not believed.
pub fn exit_code(output: &str) -> Option<i64> {
    if output.starts_with('{') {
        return exit_code_of_json(output);
    }
    output.lines().take(HEAD_LINES).take_while(|line| line.trim_end() != "Output:").find_map(|line| {
        let code = line.strip_prefix("Process exited with code ").or_else(|| line.strip_prefix("Exit code: "))?;
        code.trim().parse().ok()
    })
}

fn exit_code_of_json(output: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Output {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        exit_code: i64,
    }
    serde_json::from_str::<Output>(output).ok().map(|output| output.metadata.exit_code)
}

#[cfg(test)]
mod tests {
    use super::exit_code;

    #[test]
    fn only_what_codex_itself_says_counts() {
        let cases = [
            ("Chunk ID: 20d1e1\nWall time: 0.1748 seconds\nProcess exited with code 3\nOutput:\nx", Some(3)),
            ("Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess.", Some(0)),
            ("Exit code: -1\nWall time: 0 seconds\nOutput:\n", Some(-1)),
            ("Wall time: 0.3 seconds\nProcess running with session ID 63136\nOutput:\nExit code: 0\n", None),
            ("Output:\nProcess exited with code 0\n", None),
            ("Process exited with code zero\nOutput:\n", None),
            (r#"{"output":"hello\n","metadata":{"exit_code":2,"duration_seconds":0.4}}"#, Some(2)),
            (r#"{"output":"hello\n","metadata":{"exit_code":2,"dura"#, None),
            (r#"{"message":"Wait completed."}"#, None),
            ("", None),
        ];
        for (output, code) in cases {
            assert_eq!(exit_code(output), code, "{output}");
        }
    }
}
