//! Where a repository is, and which names a branch can have.

use lockstep_core::mask;
use std::path::PathBuf;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `https://` (or `http://`, without credentials).
    Http(String),
    /// `ssh://`, by the `ssh` program.
    Ssh(String),
    /// A path, or a `file://` URL: opened directly as an object database.
    Path(PathBuf),
}

impl Location {
    /// Reads a URL or a path.
    ///
    /// # Errors
    /// A sentence: credentials in the URL, a short form of SSH, or a scheme that is not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::Path(PathBuf::from(path)));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return match short_ssh(text) {
                Some((host, path)) => Err(format!(
                    "`{text}` is Git's short form for SSH: write `ssh://{host}/{path}` (or `./{text}` for a path on disk)"
                )),
                None => Ok(Self::Path(PathBuf::from(text))),
            };
        };
        if scheme == "ssh" {
            let host = rest.split('/').next().unwrap_or_default();
            if host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
                return Err("credentials do not belong into the URL; use `sshKey`".to_owned());
            }
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            // What begins with a hyphen would be an option of the ssh program.
            let is_safe = !rest.starts_with('-') && !host.starts_with('-') && !host.is_empty() && rest.contains('/');
            return if is_safe && !rest.contains(char::is_whitespace) {
                Ok(Self::Ssh(text.to_owned()))
            } else {
                Err(format!("`{}` is not like ssh://git@git.example.com/shop/deploy.git", mask::line(text)))
            };
        }
        if !matches!(scheme, "https" | "http") {
            return Err(format!("`{scheme}://` is not supported; use https://, ssh:// or a path"));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if let Some((user, host)) = authority.rsplit_once('@') {
            return Err(match user.split_once(':') {
                Some(_) => "credentials do not belong into the URL; use `token`".to_owned(),
                // It may be a token.
                None => format!(
                    "the URL names a user before `@`: write `{scheme}://{host}{}`, and the user as `username` beside `token` \
                     in the agent's file",
                    &rest[authority.len()..]
                ),
            });
        }
        if mask::line(text) != text {
            return Err("credentials do not belong into the URL; use `token`".to_owned());
        }
        Ok(Self::Http(text.trim_end_matches('/').to_owned()))
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(url) | Self::Ssh(url) => formatter.write_str(url),
            Self::Path(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// Host and path of `host:path` or `user@host:path`, by Git's rule: no slash comes before the first colon.
fn short_ssh(text: &str) -> Option<(&str, &str)> {
    let after_host = match text.find('[') {
        // An IPv6 address has colons of its own.
        Some(open) if !text[..open].contains(['/', ':']) => open + text[open..].find(']')?,
        _ => 0,
    };
    let colon = after_host + text[after_host..].find(':')?;
    let (host, path) = (&text[..colon], text[colon + 1..].trim_start_matches('/'));
    (!host.contains('/') && !host.is_empty() && !path.is_empty()).then_some((host, path))
}

/// Why a branch cannot have this name; none where it can. The rules are those of `git check-ref-format --branch`.
pub fn branch_problem(name: &str) -> Option<String> {
    if let Some(short) = name.strip_prefix("refs/heads/").filter(|short| !short.is_empty()) {
        return Some(format!("`{name}` is the full name of a branch: write `{short}`"));
    }
    let trimmed = name.trim();
    if trimmed != name && !trimmed.is_empty() {
        return Some(format!("`{name}` has spaces around it, and no branch has: write `{trimmed}`"));
    }
    let full = format!("refs/heads/{name}");
    let is_name = gix::validate::reference::name(full.as_str().into()).is_ok();
    if is_name && name != "HEAD" && !name.starts_with('-') {
        return None;
    }
    Some(format!("`{name}` cannot be a branch: Git allows no such name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Location::parse(text).unwrap_err()
    }

    // E8
    #[test]
    fn what_people_paste_is_told_how_to_write() {
        for (pasted, written) in [
            ("git@git.example.com:shop/deploy.git", "`ssh://git@git.example.com/shop/deploy.git`"),
            ("git.example.com:shop/deploy.git", "`ssh://git.example.com/shop/deploy.git`"),
            ("git@[::1]:/srv/deploy.git", "`ssh://git@[::1]/srv/deploy.git`"),
        ] {
            let text = refused(pasted);
            assert!(text.contains(written) && text.contains(&format!("`./{pasted}`")), "{text}");
        }
        assert_eq!(
            refused("https://acme@dev.azure.com/acme/shop/_git/deploy"),
            "the URL names a user before `@`: write `https://dev.azure.com/acme/shop/_git/deploy`, and the user as \
             `username` beside `token` in the agent's file"
        );
        let secret = refused("https://acme:glpat-canary@git.example.com/deploy.git");
        assert_eq!(secret, "credentials do not belong into the URL; use `token`");
        assert!(!refused("https://glpat-canary@git.example.com/deploy.git").contains("canary"));
        for secret in [
            "https://git.example.com/deploy.git?private_token=canary",
            "https://git.example.com/deploy.git#access_token=canary",
            "ssh://git:canary@git.example.com/deploy.git",
            "ssh://-o:canary@git.example.com/deploy.git",
        ] {
            assert!(refused(secret).starts_with("credentials do not belong into the URL"), "{}", refused(secret));
        }
        for path in ["./a:b", "/srv/a:b.git", "deploy", "../deploy.git", "a/b:c", ":", "a:"] {
            assert_eq!(Location::parse(path), Ok(Location::Path(PathBuf::from(path))), "{path}");
        }
        assert_eq!(Location::parse("./git.example.com:x"), Ok(Location::Path("./git.example.com:x".into())));
    }

    // E8
    #[test]
    fn a_branch_that_cannot_be_is_told_at_once() {
        for name in ["main", "release/2026.11", "user@host", "größe", "a.b", "refs", "heads/main"] {
            assert_eq!(branch_problem(name), None, "{name}");
        }
        assert_eq!(
            branch_problem("main ").as_deref(),
            Some("`main ` has spaces around it, and no branch has: write `main`")
        );
        assert_eq!(
            branch_problem("refs/heads/main").as_deref(),
            Some("`refs/heads/main` is the full name of a branch: write `main`")
        );
        for name in
            ["a..b", "", " ", "HEAD", "-a", "a b", "a.lock", "a~1", "a^", "a:b", "a//b", "/a", "a/", "@{", ".a", "a."]
        {
            assert_eq!(
                branch_problem(name),
                Some(format!("`{name}` cannot be a branch: Git allows no such name")),
                "{name}"
            );
        }
    }
}
