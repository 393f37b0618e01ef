//! What can go wrong on the way to a Git server, as data, and what is said of it.

use super::GitError;
use std::fmt;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection, no TLS, or it broke off.
    Network(String),
    /// It takes too long.
    Slow(String),
    /// There is too much of it.
    Endless(String),
    /// A status that is no success, with the server's words.
    Status {
        /// The status.
        code: u16,
        /// What the server says of it, in one line.
        said: String,
    },
    /// A redirect to another origin.
    Elsewhere {
        /// The origin that was asked.
        from: String,
        /// Where it leads.
        to: String,
    },
    /// A redirect within the origin that leads to no repository, or round in a circle.
    Astray(String),
    /// A web page.
    Page(u16),
    /// An answer of another type.
    NotGit(String),
    /// Something else than Git speaks first.
    Noise(String),
    /// Objects are named by another hash than SHA-1.
    ObjectFormat(String),
    /// The `ssh` program ended, with its last words.
    Closed(Vec<String>),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(reason) => formatter.write_str(reason),
            Self::Slow(reason) => write!(formatter, "the server is too slow: {reason}"),
            Self::Endless(reason) => write!(formatter, "the server does not come to an end: {reason}"),
            Self::Status { code, said } => {
                let name = reqwest::StatusCode::from_u16(*code).ok().and_then(|status| status.canonical_reason());
                write!(formatter, "HTTP status {code}")?;
                name.map_or(Ok(()), |name| write!(formatter, " {name}"))?;
                if said.is_empty() { Ok(()) } else { write!(formatter, " ({said})") }
            }
            Self::Elsewhere { from, to } => write!(
                formatter,
                "{from} redirects to {to}, and no redirect to another server is followed, because the token would go \
                 there too. If the repository moved, write its new address as `repository`"
            ),
            Self::Astray(to) => {
                write!(
                    formatter,
                    "the server redirects to {to}, which is no repository: as for a sign-in. Check the address and the token"
                )
            }
            Self::Page(code) => write!(
                formatter,
                "the server answered with a web page, as for a sign-in (HTTP status {code}). Check the address and the token"
            ),
            Self::NotGit(kind) => {
                write!(formatter, "the server answered with {kind}, not as a Git server does. Check the address")
            }
            Self::Noise(text) => {
                write!(formatter, "the server says `{}` where Git's answer should begin", plain(text, 100))
            }
            Self::ObjectFormat(name) => {
                write!(formatter, "its objects are named by {name}, and Lockstep reads SHA-1 repositories only")
            }
            Self::Closed(words) if words.is_empty() => formatter.write_str("the server closed the connection"),
            Self::Closed(words) => {
                formatter.write_str(&words.join("; "))?;
                let is_old = words.iter().any(|word| word.contains("Unable to negotiate"));
                if is_old {
                    formatter.write_str(
                        ". The server and this ssh program have no algorithm in common: update the server, or use https://",
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// Words that mean that a repository is not there, or is not shown.
const NOT_FOUND: [&str; 6] = [
    "could not be found",
    "repository not found",
    "not appear to be a git repo",
    "does not exist",
    "no such file or directory",
    "not found or you don't have permission",
];

/// Words that mean that somebody is not let in, or that the server is not who it should be.
const REFUSED: [&str; 4] = ["permission denied", "host key verification failed", "authenticat", "access denied"];

impl Failure {
    /// The error by its remedy. `credential` is what one presents on this way; `has_one` says whether one is configured.
    pub(super) fn error(&self, repository: &str, credential: &str, has_one: bool) -> GitError {
        let repository = repository.to_owned();
        let reason = self.to_string();
        let missing = || match has_one {
            true => format!("it was not found, or the {credential} may not read it"),
            false => format!("it was not found, or it needs a {credential}, and none is configured"),
        };
        let refused = |reason: String| match has_one {
            true => reason,
            false => format!("{reason} (no {credential} is configured)"),
        };
        match self {
            Self::Network(_) | Self::Slow(_) => GitError::Unreachable { repository, reason },
            Self::Status { code: 401 | 403, .. } => GitError::Refused { repository, reason: refused(reason) },
            Self::Status { code: 404 | 410, .. } => {
                GitError::Unreadable { repository, reason: format!("{} ({reason})", missing()) }
            }
            Self::Status { code: 407 | 408 | 425 | 429 | 500.., .. } => GitError::Unreachable { repository, reason },
            Self::Closed(words) => {
                let said = words.join("\n").to_lowercase();
                let has = |list: &[&str]| list.iter().any(|word| said.contains(word));
                if has(&REFUSED) {
                    GitError::Refused { repository, reason: refused(reason) }
                } else if has(&NOT_FOUND) {
                    GitError::Unreadable { repository, reason: format!("{} ({reason})", missing()) }
                } else {
                    GitError::Unreachable { repository, reason }
                }
            }
            Self::Endless(_)
            | Self::Status { .. }
            | Self::Elsewhere { .. }
            | Self::Astray(_)
            | Self::Page(_)
            | Self::NotGit(_)
            | Self::Noise(_)
            | Self::ObjectFormat(_) => GitError::Unreadable { repository, reason },
        }
    }

    /// Whether a request as a whole was refused before anything was done with it, for another reason than who asks.
    pub(super) fn refuses_request(&self) -> bool {
        match self {
            Self::Status { code: 401 | 403 | 404 | 407 | 408 | 425 | 429, .. } => false,
            Self::Status { code, .. } => (400..500).contains(code),
            _ => false,
        }
    }

    /// Whether a push that failed like this cannot have moved anything.
    pub(super) fn came_before(&self) -> bool {
        matches!(
            self,
            Self::Status { code: 401 | 403 | 404 | 407 | 429, .. } | Self::Elsewhere { .. } | Self::Astray(_)
        )
    }
}

/// A text of a server in one line without control characters, cut to so many characters.
pub(super) fn plain(text: &str, longest: usize) -> String {
    let words: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(longest) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(failure: &Failure, has_one: bool) -> String {
        failure.error("https://git.example.com/a.git", "token", has_one).to_string()
    }

    fn status(code: u16) -> Failure {
        Failure::Status { code, said: String::new() }
    }

    // D1: what is hidden from a token is worded as such.
    #[test]
    fn what_is_hidden_is_said_to_be_so() {
        assert_eq!(
            error(&status(404), true),
            "failed to read the repository https://git.example.com/a.git: it was not found, or the token may not read it \
             (HTTP status 404 Not Found)"
        );
        assert_eq!(
            error(&status(404), false),
            "failed to read the repository https://git.example.com/a.git: it was not found, or it needs a token, and none \
             is configured (HTTP status 404 Not Found)"
        );
        assert_eq!(
            error(&Failure::Page(203), true),
            "failed to read the repository https://git.example.com/a.git: the server answered with a web page, as for a \
             sign-in (HTTP status 203). Check the address and the token"
        );
        let gitlab = Failure::Closed(vec![
            "ERROR: The project you were looking for could not be found or you don't have permission to view it."
                .into(),
        ]);
        assert!(matches!(
            gitlab.error("ssh://git@git.example.com/a.git", "key", true),
            GitError::Unreadable { reason, .. } if reason.starts_with("it was not found, or the key may not read it (ERROR: The")
        ));
    }

    #[test]
    fn only_what_was_surely_refused_is_called_so() {
        let refused: Vec<u16> = (300..600).filter(|code| status(*code).refuses_request()).collect();
        assert!(refused.iter().all(|code| (400..500).contains(code)) && refused.contains(&413), "{refused:?}");
        for code in [401, 403, 404, 408, 425, 429, 500, 502, 503] {
            assert!(!status(code).refuses_request(), "{code}");
        }
        assert!(!status(502).came_before() && !status(408).came_before() && status(403).came_before());
    }

    #[test]
    fn a_text_of_a_server_is_one_short_line() {
        assert_eq!(plain("a\n\u{1b}[31m b\r\n", 100), "a [31m b");
        assert_eq!(plain("äöü", 2), "äö…");
    }
}
