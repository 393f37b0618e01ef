//! Tokens: what a token service answers, and which ones are still good.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a token is good where its answer does not say.
const USUAL: u64 = 60;
/// How long one is kept at most.
const LONGEST: u64 = 60 * 60;
/// A token is no longer presented so long before its end: it has to last for the request.
const MARGIN: Duration = Duration::from_secs(10);

/// A token, which is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(Arc<str>);

impl Token {
    /// The token itself: for the request that presents it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// What a token service hands out.
pub(super) struct Grant {
    /// The token.
    pub(super) token: Token,
    /// How long it is good.
    pub(super) lifetime: Duration,
}

/// The answer's members that matter.
#[derive(Deserialize)]
struct Body {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
}

impl Grant {
    /// Reads an answer; none where it holds no token that fits into a header.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let token = body.token.filter(|token| !token.is_empty()).or(body.access_token)?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let seconds = body.expires_in.and_then(|value| value.as_u64()).unwrap_or(USUAL).min(LONGEST);
        Some(Self { token: Token(token.into()), lifetime: Duration::from_secs(seconds) })
    }
}

/// The tokens that are at hand, by repository.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, (Token, Instant)>);

impl Tokens {
    /// A token that is still good.
    pub(super) fn at_hand(&self, repository: &str, now: Instant) -> Option<Token> {
        self.0.get(repository).filter(|(_, until)| now < *until).map(|(token, _)| token.clone())
    }

    /// Keeps a token that was asked for at `asked`, and drops those that are no longer good.
    pub(super) fn keep(&mut self, repository: &str, grant: &Grant, asked: Instant) {
        self.0.retain(|_, (_, until)| asked < *until);
        let until = asked + grant.lifetime.saturating_sub(MARGIN);
        self.0.insert(repository.to_owned(), (grant.token.clone(), until));
    }

    /// Drops a token that was refused.
    pub(super) fn forget(&mut self, repository: &str) {
        self.0.remove(repository);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Option<(String, u64)> {
        Grant::parse(text.as_bytes()).map(|grant| (grant.token.reveal().to_owned(), grant.lifetime.as_secs()))
    }

    #[test]
    fn tokens_have_one_of_two_names_and_a_lifetime() {
        let expected = |seconds| Some(("t".to_owned(), seconds));
        assert_eq!(grant(r#"{"token":"t","access_token":"u","expires_in":300}"#), expected(300));
        assert_eq!(grant(r#"{"token":"","access_token":"t"}"#), expected(USUAL));
        for odd in ["null", "-1", "\"300\"", "1.5"] {
            assert_eq!(grant(&format!(r#"{{"token":"t","expires_in":{odd}}}"#)), expected(USUAL), "{odd}");
        }
        assert_eq!(grant(r#"{"token":"t","expires_in":18446744073709551615}"#), expected(LONGEST));
    }

    #[test]
    fn what_does_not_fit_into_a_header_is_no_token() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"token":""}"#,
            r#"{"token":1}"#,
            r#"{"token":"a b"}"#,
            r#"{"token":"a\r\nb"}"#,
            r#"{"token":"ä"}"#,
        ] {
            assert_eq!(grant(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_are_kept_until_shortly_before_their_end() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let grant = |seconds| Grant { token: Token("t".into()), lifetime: Duration::from_secs(seconds) };
        let mut tokens = Tokens::default();
        tokens.keep("a", &grant(60), start);
        tokens.keep("b", &grant(5), start);
        assert!(tokens.at_hand("a", after(49)).is_some());
        assert!(tokens.at_hand("a", after(50)).is_none());
        assert!(tokens.at_hand("b", start).is_none());
        assert!(tokens.at_hand("c", start).is_none());
        tokens.keep("c", &grant(60), after(51));
        assert_eq!(tokens.0.keys().collect::<Vec<_>>(), ["c"]);
        tokens.forget("c");
        assert!(tokens.at_hand("c", after(51)).is_none());
    }
}
