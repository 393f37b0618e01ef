//! Patterns over tags: regular expressions with at most one capture group, whose text is what is compared.

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const LONGEST: usize = 512;
/// Most memory that a compiled pattern may take, in bytes.
const LARGEST: usize = 1 << 20;

/// A pattern. As in other tools it may match anywhere in the tag unless it begins with `^` and ends with `$`.
#[derive(Clone, Debug)]
pub struct TagPattern(Regex);

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl std::str::FromStr for TagPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the pattern is empty".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("the pattern is longer than {LONGEST} bytes"));
        }
        let regex = RegexBuilder::new(text).size_limit(LARGEST).build().map_err(|error| match error {
            // The library draws the place under the pattern, over several lines.
            regex::Error::Syntax(text) => {
                let last = text.lines().last().unwrap_or_default();
                format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
            }
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            other => format!("not a regular expression: {other}"),
        })?;
        if regex.captures_len() > 2 {
            return Err("a pattern has at most one capture group; write the others as (?:…)".to_owned());
        }
        Ok(Self(regex))
    }
}

impl TagPattern {
    /// Whether a tag matches.
    pub fn is_match(&self, tag: &str) -> bool {
        self.0.is_match(tag)
    }

    /// What is compared of a tag: the text of the group, or of the whole match.
    pub fn key<'a>(&self, tag: &'a str) -> Option<&'a str> {
        let captures = self.0.captures(tag)?;
        let group = if self.0.captures_len() > 1 { captures.get(1) } else { captures.get(0) };
        group.map(|group| group.as_str())
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_what_is_compared() {
        let pattern: TagPattern = "^main-[a-f0-9]+-(?P<at>[0-9]+)$".parse().unwrap();
        assert_eq!(pattern.key("main-0af-1234"), Some("1234"));
        assert_eq!(pattern.key("dev-0af-1234"), None);
        assert_eq!("^v[0-9]+".parse::<TagPattern>().unwrap().key("v12-x"), Some("v12"));
    }

    #[test]
    fn bad_patterns_say_what_is_wrong() {
        let wrong = |text: &str| text.parse::<TagPattern>().unwrap_err();
        assert_eq!(wrong("a("), "not a regular expression: unclosed group");
        assert_eq!(wrong("(a)(b)"), "a pattern has at most one capture group; write the others as (?:…)");
        assert_eq!(wrong("a{1000}{1000}{100}"), "the pattern is too large");
        assert_eq!(wrong(""), "the pattern is empty");
    }
}
