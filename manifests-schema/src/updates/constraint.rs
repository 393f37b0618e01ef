//! Version constraints in the grammar that users of Flux and Argo CD Image Updater bring: that of the Go library
//! Masterminds/semver 3. Held against the library itself by a table in the tests.

use super::version::{lenient, number};
use semver::{Prerelease, Version};

/// Longest constraint, in bytes.
const LONGEST: usize = 512;

/// Most alternatives, as in the library.
const MOST_ALTERNATIVES: usize = 32;

/// A constraint: alternatives, each of comparisons that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

/// How much of a comparison's version is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Written {
    Nothing,
    Major,
    Minor,
    Whole,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Version,
    written: Written,
}

/// Why a text is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConstraintError(String);

impl std::str::FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > LONGEST {
            return Err(ConstraintError(format!("the constraint is longer than {LONGEST} bytes")));
        }
        let alternatives = text.split("||").map(alternative).collect::<Result<Vec<_>, _>>()?;
        if alternatives.len() > MOST_ALTERNATIVES {
            return Err(ConstraintError(format!("the constraint has more than {MOST_ALTERNATIVES} alternatives")));
        }
        Ok(Self { alternatives })
    }
}

impl Constraint {
    /// Whether a version satisfies it. Pre-releases satisfy only alternatives that name one themselves.
    pub fn admits(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|comparisons| {
            let asked = comparisons.iter().any(|comparison| !comparison.version.pre.is_empty());
            (version.pre.is_empty() || asked) && comparisons.iter().all(|comparison| comparison.holds(version))
        })
    }

    /// Why a version does not satisfy it, where it is a pre-release that would satisfy it otherwise.
    pub fn lacks_prerelease(&self, version: &Version) -> bool {
        let release = Version { pre: Prerelease::EMPTY, ..version.clone() };
        !version.pre.is_empty() && !self.admits(version) && self.admits(&release)
    }
}

/// Comparisons between commas and spaces.
fn alternative(text: &str) -> Result<Vec<Comparison>, ConstraintError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ConstraintError("a constraint is empty; write `*` for any release".to_owned()));
    }
    let mut tokens = Tokens { rest: text };
    let mut comparisons = Vec::new();
    loop {
        let operator = tokens.operator();
        let low = tokens.version()?;
        if operator.is_none() && tokens.hyphen() {
            let high = tokens.version()?;
            comparisons.push(Comparison { operator: Operator::GreaterOrEqual, ..low });
            comparisons.push(Comparison { operator: Operator::LessOrEqual, ..high });
        } else {
            comparisons.push(Comparison { operator: operator.unwrap_or(Operator::Equal), ..low });
        }
        if !tokens.separator()? {
            return Ok(comparisons);
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn skip_space(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start();
        self.rest.len() != before
    }

    fn operator(&mut self) -> Option<Operator> {
        const OPERATORS: [(&str, Operator); 12] = [
            ("!=", Operator::NotEqual),
            (">=", Operator::GreaterOrEqual),
            ("=>", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("=<", Operator::LessOrEqual),
            ("~>", Operator::Tilde),
            ("~", Operator::Tilde),
            ("^", Operator::Caret),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("=", Operator::Equal),
            ("", Operator::Equal),
        ];
        self.skip_space();
        let (text, operator) = OPERATORS.iter().find(|(text, _)| self.rest.starts_with(text))?;
        self.rest = &self.rest[text.len()..];
        self.skip_space();
        (!text.is_empty()).then_some(*operator)
    }

    fn version(&mut self) -> Result<Comparison, ConstraintError> {
        let end = self
            .rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || "*.-+".contains(letter)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        read_version(word).ok_or_else(|| {
            let found = if word.is_empty() {
                rest.chars().next().map(String::from).unwrap_or_default()
            } else {
                word.to_owned()
            };
            match found.as_str() {
                "" => ConstraintError("a version is missing at the end".to_owned()),
                found => ConstraintError(format!("`{found}` is not a version")),
            }
        })
    }

    /// The hyphen of a range stands between spaces.
    fn hyphen(&mut self) -> bool {
        let Some(rest) =
            self.rest.trim_start().strip_prefix('-').filter(|_| self.rest.starts_with(char::is_whitespace))
        else {
            return false;
        };
        if !rest.starts_with(char::is_whitespace) {
            return false;
        }
        self.rest = rest.trim_start();
        true
    }

    /// Whether another comparison follows.
    fn separator(&mut self) -> Result<bool, ConstraintError> {
        let spaced = self.skip_space();
        if self.rest.is_empty() {
            return Ok(false);
        }
        if let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            return Ok(true);
        }
        if spaced {
            return Ok(true);
        }
        Err(ConstraintError(format!("`{}` is not understood", self.rest)))
    }
}

/// A version whose parts may be `x`, `X`, `*` or absent.
fn read_version(word: &str) -> Option<Comparison> {
    let text = word.strip_prefix('v').unwrap_or(word);
    let numbers_end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, tail) = text.split_at(numbers_end);
    let is_any = |part: &str| matches!(part, "x" | "X" | "*");
    let parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() > 3 || parts.iter().any(|part| !is_any(part) && number(part).is_none()) {
        return None;
    }
    // What stands after a wildcard does not count.
    let written = parts.iter().position(|part| is_any(part)).unwrap_or(parts.len());
    let complete = (0..3).map(|at| if at < written { parts[at] } else { "0" }).collect::<Vec<_>>().join(".");
    let version = lenient(&format!("{complete}{tail}"))?;
    let written = [Written::Nothing, Written::Major, Written::Minor, Written::Whole][written];
    Some(Comparison { operator: Operator::Equal, version, written })
}

impl Comparison {
    fn holds(&self, version: &Version) -> bool {
        let own = &self.version;
        let order = version.cmp_precedence(own);
        let same_major = version.major == own.major;
        let same_minor = same_major && version.minor == own.minor;
        // Whether the version is the same as far as this one is written.
        let within = match self.written {
            Written::Nothing => true,
            Written::Major => same_major,
            Written::Minor => same_minor,
            Written::Whole => order.is_eq(),
        };
        match self.operator {
            Operator::Equal if self.written == Written::Whole => within,
            Operator::Equal => within && order.is_ge(),
            // As the library has it: of the versions that 1.2 stands for, other pre-releases are not meant.
            Operator::NotEqual if self.written == Written::Minor && within => version.pre != own.pre,
            Operator::NotEqual => !within,
            Operator::Greater if self.written == Written::Whole => order.is_gt(),
            Operator::Greater => order.is_gt() && !within,
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual if self.written == Written::Whole => order.is_le(),
            Operator::LessOrEqual => order.is_lt() || within,
            Operator::Tilde => order.is_ge() && self.tilde(version),
            Operator::Caret => order.is_ge() && self.caret(version),
        }
    }

    fn tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        match self.written {
            Written::Nothing => true,
            Written::Major => version.major == own.major,
            // The library takes ~0.0.0 for any version.
            Written::Whole if own.major == 0 && own.minor == 0 && own.patch == 0 => true,
            Written::Minor | Written::Whole => version.major == own.major && version.minor == own.minor,
        }
    }

    fn caret(&self, version: &Version) -> bool {
        let own = &self.version;
        let same_major = version.major == own.major;
        match self.written {
            Written::Nothing => true,
            Written::Major => same_major,
            _ if own.major > 0 => same_major,
            Written::Minor => same_major && version.minor == own.minor,
            Written::Whole if own.minor > 0 => same_major && version.minor == own.minor,
            Written::Whole => same_major && version.minor == 0 && version.patch == own.patch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::updates::version::of_tag;

    fn admits(constraint: &str, tag: &str) -> bool {
        constraint.parse::<Constraint>().expect(constraint).admits(&of_tag(tag).expect(tag))
    }

    #[test]
    fn constraints_as_people_write_them() {
        for (constraint, yes, no) in [
            (">=1.4 <2", vec!["1.4.0", "1.99.0"], vec!["1.3.9", "2.0.0", "1.5.0-rc.1"]),
            (">=1.4, <2", vec!["1.4.0"], vec!["2.0.0"]),
            (">=1.4,<2 || ^3.1", vec!["1.4.0", "3.1.0", "3.9.9"], vec!["3.0.9", "4.0.0"]),
            ("1.2", vec!["1.2.0", "1.2.9"], vec!["1.3.0"]),
            ("~1.2.3", vec!["1.2.3", "1.2.9"], vec!["1.3.0", "1.2.2"]),
            ("~1", vec!["1.9.0"], vec!["2.0.0"]),
            ("^0.2.3", vec!["0.2.9"], vec!["0.3.0", "1.0.0"]),
            ("^0.0.3", vec!["0.0.3"], vec!["0.0.4"]),
            ("1.2 - 1.4", vec!["1.2.0", "1.4.9"], vec!["1.5.0"]),
            ("1.2 - 1.4.5", vec!["1.4.5"], vec!["1.4.6"]),
            (">1.2", vec!["1.3.0"], vec!["1.2.5"]),
            ("!=1.2.x, >=1", vec!["1.3.0"], vec!["1.2.9"]),
            ("*", vec!["0.0.1", "9.9.9"], vec!["1.0.0-rc.1"]),
            (">=1.0.0-0 <2.0.0", vec!["1.5.0-rc.1", "1.5.0"], vec!["2.0.0"]),
        ] {
            for tag in yes {
                assert!(admits(constraint, tag), "{constraint} {tag}");
            }
            for tag in no {
                assert!(!admits(constraint, tag), "{constraint} {tag}");
            }
        }
    }

    #[test]
    fn what_is_no_constraint_says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<Constraint>().expect_err(text).to_string();
        assert_eq!(wrong(""), "a constraint is empty; write `*` for any release");
        assert_eq!(wrong(">=1 ||"), "a constraint is empty; write `*` for any release");
        assert_eq!(wrong(">="), "a version is missing at the end");
        assert_eq!(wrong("1.x.y"), "`1.x.y` is not a version");
        assert_eq!(wrong("latest"), "`latest` is not a version");
        assert_eq!(wrong(">=1.2;<3"), "`;<3` is not understood");
        assert_eq!(wrong("1.2.3.4"), "`1.2.3.4` is not a version");
    }
}
