//! Patterns over tags: regular expressions with at most one capture group, whose text is what is compared.

use regex::bytes::{Regex, RegexBuilder};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Longest pattern, in bytes.
const LONGEST: usize = 512;
/// Most memory that a compiled pattern may take, and as much again for what it remembers of texts, in bytes.
const LARGEST: usize = 1 << 18;
/// Most compiled patterns that are kept. Together they stay below what a few files take, whatever repositories name.
const KEPT: usize = 128;

/// A pattern. As in other tools it may match anywhere in the tag unless it begins with `^` and ends with `$`.
#[derive(Clone, Debug, PartialEq)]
pub struct TagPattern(Arc<str>);

/// Compiled patterns by their text, shared by all that name them: a repository may name thousands, and each takes far
/// more memory than its text. What is not among them is compiled again; that costs time alone.
static COMPILED: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Compiled {
    patterns: HashMap<Arc<str>, (Arc<Regex>, u64)>,
    uses: u64,
}

impl Compiled {
    fn get(&mut self, text: &str) -> Option<Arc<Regex>> {
        self.uses += 1;
        let (regex, last) = self.patterns.get_mut(text)?;
        *last = self.uses;
        Some(regex.clone())
    }

    fn keep(&mut self, text: &Arc<str>, regex: &Arc<Regex>) {
        if self.patterns.len() >= KEPT {
            let oldest = self.patterns.iter().min_by_key(|(_, (_, last))| *last).map(|(text, _)| text.clone());
            oldest.map(|text| self.patterns.remove(&text));
        }
        self.patterns.insert(text.clone(), (regex.clone(), self.uses));
    }
}

fn compiled(text: &Arc<str>) -> Result<Arc<Regex>, regex::Error> {
    let lock = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = lock().get(text) {
        return Ok(regex);
    }
    // Tags are ASCII. Unicode's classes are a thousand times larger, and compiled only for patterns that name them.
    let build =
        |unicode: bool| RegexBuilder::new(text).unicode(unicode).size_limit(LARGEST).dfa_size_limit(LARGEST).build();
    let regex = Arc::new(match build(false) {
        Err(regex::Error::Syntax(_)) => build(true)?,
        other => other?,
    });
    lock().keep(text, &regex);
    Ok(regex)
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
        let text: Arc<str> = text.into();
        let regex = compiled(&text).map_err(|error| match error {
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
        Ok(Self(text))
    }
}

impl TagPattern {
    /// Whether a tag matches.
    pub fn is_match(&self, tag: &str) -> bool {
        // What compiled once compiles again.
        compiled(&self.0).is_ok_and(|regex| regex.is_match(tag.as_bytes()))
    }

    /// What is compared of a tag: the text of the group, or of the whole match.
    pub fn key<'a>(&self, tag: &'a str) -> Option<&'a str> {
        let regex = compiled(&self.0).ok()?;
        let captures = regex.captures(tag.as_bytes())?;
        let group = if regex.captures_len() > 1 { captures.get(1) } else { captures.get(0) };
        tag.get(group?.range())
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
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

    // H4: nine thousand patterns took gigabytes.
    #[test]
    fn however_many_patterns_there_are_few_are_kept_compiled() {
        let patterns: Vec<TagPattern> =
            (0..300).map(|number| format!("^{number}-\\d+-\\w{{1,8}}$").parse().unwrap()).collect();
        let kept = || COMPILED.lock().unwrap().patterns.len();
        assert!(kept() <= KEPT);
        assert!(patterns[0].is_match("0-12-ab") && !patterns[0].is_match("1-12-ab"));
        assert_eq!(patterns[299].key("299-1-x"), Some("299-1-x"));
        assert!(kept() <= KEPT);
        let large = "(\\w{1,99}\\.){1,99}".parse::<TagPattern>();
        assert_eq!(large, Err("the pattern is too large".to_owned()));
        let unicode: TagPattern = "^[é-ü]?\\d$".parse().unwrap();
        assert!(unicode.is_match("ö1") && !"^\\d$".parse::<TagPattern>().unwrap().is_match("٣"));
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
