//! What a `WWW-Authenticate` header asks for. It is written by whoever answers: anything may stand in it.

/// Longest header that is looked at.
const LONGEST: usize = 8 * 1024;

/// The way to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token that another address hands out.
    Bearer {
        /// The address, unchecked.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
    },
    /// With user and password.
    Basic,
}

/// The challenge to answer: tokens before passwords. The server's `scope` is not even read; the agent asks for its own.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers.filter(|header| header.len() <= LONGEST) {
        for offer in Reader(header).offers() {
            if offer.scheme.eq_ignore_ascii_case("bearer") {
                let realm = offer.parameter("realm").filter(|realm| !realm.is_empty());
                if let Some(realm) = realm {
                    let service = offer.parameter("service").map(str::to_owned);
                    return Some(Challenge::Bearer { realm: realm.to_owned(), service });
                }
            } else if offer.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

/// A scheme with its parameters.
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    /// A parameter's first value.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What is left of a header.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    /// All offers up to the first thing that cannot be read; an offer that breaks off is none.
    fn offers(mut self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        loop {
            self.skip(|letter| letter == ',' || is_space(letter));
            let word = self.take(is_token);
            if word.is_empty() {
                // The end, or something like the rest of a token68.
                if self.0.is_empty() {
                    return offers;
                }
                self.skip(|letter| letter != ',');
                continue;
            }
            let after_word = self.0;
            self.skip(is_space);
            if !self.0.starts_with('=') {
                self.0 = after_word;
                offers.push(Offer { scheme: word, parameters: Vec::new() });
                continue;
            }
            self.0 = &self.0[1..];
            self.skip(is_space);
            let value = if self.0.starts_with('"') { self.quoted() } else { Some(self.take(is_token)) };
            let Some(value) = value else {
                offers.pop();
                return offers;
            };
            if let Some(offer) = offers.last_mut() {
                offer.parameters.push((word, value));
            }
            // What follows a value without a comma is not worth guessing at.
            self.skip(|letter| letter != ',');
        }
    }

    /// A quoted string; none where it does not end.
    fn quoted(&mut self) -> Option<String> {
        let (mut value, mut is_escaped) = (String::new(), false);
        for (at, letter) in self.0.char_indices().skip(1) {
            match letter {
                _ if is_escaped => {
                    value.push(letter);
                    is_escaped = false;
                }
                '\\' => is_escaped = true,
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                _ => value.push(letter),
            }
        }
        None
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.0.find(|letter| !wanted(letter)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken.to_owned()
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(unwanted);
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(header: &str) -> Option<Challenge> {
        choose([header].into_iter())
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
    }

    #[test]
    fn challenges_of_known_registries() {
        assert_eq!(
            one(
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#
            ),
            bearer("https://auth.docker.io/token", Some("registry.docker.io"))
        );
        assert_eq!(one(r#"bearer Realm = "https://a/t" , SERVICE=s"#), bearer("https://a/t", Some("s")));
        assert_eq!(one(r#"Basic realm="registry", charset="UTF-8""#), Some(Challenge::Basic));
        assert_eq!(one("Basic"), Some(Challenge::Basic));
    }

    #[test]
    fn tokens_go_before_passwords() {
        assert_eq!(one(r#"Basic realm="x", Bearer realm="https://a/t""#), bearer("https://a/t", None));
        assert_eq!(choose(["Basic", r#"Bearer realm="https://a/t""#].into_iter()), bearer("https://a/t", None));
        assert_eq!(one(r#"Negotiate abc==, Bearer realm="https://a/t""#), bearer("https://a/t", None));
        assert_eq!(one(r#"NTLM TlRM/AA+=, Bearer realm="https://a/t""#), bearer("https://a/t", None));
    }

    #[test]
    fn quotes_and_commas_belong_to_values() {
        assert_eq!(
            one(r#"Bearer service="a, Basic realm=\"b\"", realm="https://a/t?x=1,2""#),
            bearer("https://a/t?x=1,2", Some(r#"a, Basic realm="b""#))
        );
        assert_eq!(one(r#"Bearer realm="https://a/\\t""#), bearer(r"https://a/\t", None));
        assert_eq!(one(r#"Bearer realm="ä€😀",service="s""#), bearer("ä€😀", Some("s")));
    }

    #[test]
    fn what_is_missing_or_broken_is_no_challenge() {
        for header in [
            "",
            ",,, ,",
            "=",
            "\"",
            "Bearer",
            "Bearer realm",
            "Bearer realm=",
            r#"Bearer realm="""#,
            r#"Bearer realm="https://a/t"#,
            r#"Bearer realm="https://a/t\"#,
            r#"Bearer service="s""#,
            r#"realm="https://a/t""#,
            "Digest realm=x",
            "Bearer realm \"https://a/t\"",
            "ä=ö",
        ] {
            assert_eq!(one(header), None, "{header}");
        }
        let long = format!("Bearer realm=\"https://a/{}\"", "x".repeat(LONGEST));
        assert_eq!(one(&long), None);
        // The first of two is the one.
        assert_eq!(one(r#"Bearer realm="https://a/t",realm="https://b/t""#), bearer("https://a/t", None));
    }

    #[test]
    fn any_text_comes_to_an_end() {
        let letters = ['B', ' ', ',', '=', '"', '\\', '/', 'ä'];
        for number in 0..letters.len().pow(5) {
            let text: String =
                (0..5u32).map(|place| letters[number / letters.len().pow(place) % letters.len()]).collect();
            let _ = one(&text);
            let _ = one(&format!("Bearer realm=x{text}"));
        }
    }
}
