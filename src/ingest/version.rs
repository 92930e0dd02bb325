//! Versions of Codex, where it depends on them what a record means.

/// Whether a version is 0.`minor` or later. One that cannot be read is not.
pub(crate) fn is_from(version: &str, minor: u32) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(this))) => (major, this) >= (0, minor),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, is) in [("0.169.0", true), ("0.154.0-alpha.2", true), ("1.0.0", true), ("0.99.9", false)] {
            assert_eq!(is_from(version, 154), is, "{version}");
        }
        for unreadable in ["", "0", "v0.169.0", "0.x"] {
            assert!(!is_from(unreadable, 0), "{unreadable}");
        }
    }
}
