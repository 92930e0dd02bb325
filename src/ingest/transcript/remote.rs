//! Git remotes, as far as they may be kept.

/// A remote may hold a token (`https://user:token@host/...`); it is not ours to keep.
pub(super) fn without_credentials(remote: &str) -> String {
    match remote.split_once("://") {
        Some((scheme, rest)) => {
            let host_at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(host_at);
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => remote.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn remotes_keep_no_credentials() {
        assert_eq!(without_credentials("https://me:ghp_secret@github.com/a/b.git"), "https://github.com/a/b.git");
        assert_eq!(without_credentials("https://github.com/a/b@c"), "https://github.com/a/b@c");
        assert_eq!(without_credentials("git@github.com:a/b.git"), "git@github.com:a/b.git");
    }
}
