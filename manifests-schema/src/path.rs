//! The one grammar of paths: `taskDefinition.containerDefinitions[web].environment[LOG_LEVEL]`. Plans, ignore
//! entries, JSON output and diagnostics all use it.

use std::{fmt, str::FromStr};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A member of a structure.
    Member(String),
    /// An element of a keyed list, a key of a map, or the position in a list without a key.
    Element(String),
}

/// A path into `{taskDefinition, service}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path of one member.
    pub fn root(member: &str) -> Self {
        Self(vec![Step::Member(member.to_owned())])
    }

    /// This path and a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        self.step(Step::Member(name.to_owned()))
    }

    /// This path and an element.
    #[must_use]
    pub fn element(&self, key: impl fmt::Display) -> Self {
        self.step(Step::Element(key.to_string()))
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }

    /// Whether this path is `other` or lies above it.
    pub fn covers(&self, other: &Path) -> bool {
        other.0.len() >= self.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if at == 0 => formatter.write_str(name)?,
                Step::Member(name) => write!(formatter, ".{name}")?,
                Step::Element(key) => {
                    write!(formatter, "[{}]", key.replace('\\', "\\\\").replace(']', "\\]"))?;
                }
            }
        }
        Ok(())
    }
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a path: {0}")]
pub struct PathError(String);

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let mut steps = Vec::new();
        let mut letters = text.chars().peekable();
        let mut name = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '.' | '[' => {
                    if !name.is_empty() {
                        steps.push(Step::Member(std::mem::take(&mut name)));
                    } else if letter == '.' && !matches!(steps.last(), Some(Step::Element(_))) {
                        return Err(PathError(format!("a name is missing before `.` in `{text}`")));
                    }
                    if letter == '[' {
                        steps.push(Step::Element(element(&mut letters, text)?));
                    } else if letters.peek().is_none() {
                        return Err(PathError(format!("`{text}` ends with a dot")));
                    }
                }
                ']' => return Err(PathError(format!("`]` without `[` in `{text}`"))),
                _ if name.is_empty()
                    && matches!(steps.last(), Some(Step::Element(_)))
                    && !after_dot(text, &letters) =>
                {
                    return Err(PathError(format!("a dot is missing after `]` in `{text}`")));
                }
                _ => name.push(letter),
            }
        }
        if !name.is_empty() {
            steps.push(Step::Member(name));
        }
        if steps.is_empty() {
            return Err(PathError("it is empty".to_owned()));
        }
        Ok(Self(steps))
    }
}

fn element(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &str) -> Result<String, PathError> {
    let mut key = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.push(letters.next().unwrap_or('\\')),
            ']' => return Ok(key),
            _ => key.push(letter),
        }
    }
    Err(PathError(format!("`[` is not closed in `{text}`")))
}

/// Whether the letter that was just taken follows a dot.
fn after_dot(text: &str, rest: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let left: usize = rest.clone().map(char::len_utf8).sum();
    let taken = &text[..text.len() - left];
    let mut back = taken.chars().rev();
    back.next();
    back.next() == Some('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_read_and_print_the_same() {
        for text in [
            "taskDefinition",
            "taskDefinition.containerDefinitions[web].environment[LOG_LEVEL]",
            "service.loadBalancers[web,8080,arn:aws:x].advancedConfiguration.roleArn",
            "service.tags[a\\]b]",
        ] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        for text in ["", ".", "a.", "a[", "a]", "a..b", "a[b]c"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_path_reads_back(members in prop::collection::vec(("[a-zA-Z]{1,8}", prop::option::of(".{0,6}")), 1..5)) {
            let mut path = Path::default();
            for (name, key) in members {
                path = path.member(&name);
                if let Some(key) = key {
                    path = path.element(key);
                }
            }
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
    }
}
