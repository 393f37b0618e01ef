//! Version constraints as Masterminds/semver reads them: every verdict of the library itself, from a table that
//! `generate/` prints.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_manifests::updates::{Constraint, version::of_tag};

/// Constraints of which the library and Lockstep say different things, each for one of these reasons:
/// an operator before a wildcard (the library takes `*` for 0.0.0 there, so `<=*` admits hardly anything and `^*` nothing);
/// a hyphen beside `||` (the library's expression takes `1||2` for the lower bound); numbers and texts beyond any sense.
const DIFFERENT: &[&str] = &[
    ">*-0",
    "!=*-0",
    "!=* >=0-0",
    "^*-0",
    "^* >=0-0",
    ">* >=0-0",
    "<=*-0",
    "<=* >=0-0",
    "^x",
    "^*",
    ">x",
    ">*",
    "!=x",
    "!=*",
    "x - x",
    "=<x",
    "<=*",
    "1 - *",
    "1.2||2 - 2.3",
    "11||1 - 2",
    "1||2 - 3",
    "<1||2 - 3",
    "1 - 2||11 - 12",
    "!=1.2.3 1 - 2",
    ">=1.2.3-0a",
    "1.x.|",
    "1.x.99999999999999999999",
    "1.x.12x",
    "*.xx",
];

/// A lone number is no version, and neither is one before a hyphen: see `version.rs`.
fn is_lone_number(tag: &str) -> bool {
    tag.split(['-', '+']).next().is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

const TABLE: &str = include_str!("table.tsv");

#[test]
fn constraints_are_read_as_the_library_reads_them() {
    let mut lines = TABLE.lines().skip(1);
    let versions: Vec<&str> = lines.next().unwrap().split('\t').skip(1).collect();
    let (mut checked, mut different, mut wrong) = (0, 0, Vec::new());
    for line in lines {
        if line.starts_with("parse\t") {
            continue;
        }
        let (constraint, verdicts) = line.rsplit_once('\t').unwrap();
        if DIFFERENT.contains(&constraint) || constraint.len() > 200 {
            different += 1;
            continue;
        }
        let constraint = constraint.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r");
        let parsed = constraint.parse::<Constraint>();
        match (parsed, verdicts) {
            (Err(_), "!") => checked += 1,
            (Ok(_), "!") => wrong.push(format!("`{constraint}` is taken")),
            (Err(error), _) => wrong.push(format!("`{constraint}` is refused: {error}")),
            (Ok(parsed), verdicts) => {
                for (tag, verdict) in versions.iter().zip(verdicts.chars()) {
                    let Some(version) = of_tag(tag) else { continue };
                    checked += 1;
                    if parsed.admits(&version) != (verdict == '1') {
                        wrong.push(format!("`{constraint}` {tag}: the library says {verdict}"));
                    }
                }
            }
        }
    }
    assert!(checked > 5000 && different <= DIFFERENT.len() + 8, "{checked} {different}");
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn tags_are_read_as_the_library_reads_them() {
    let mut wrong = Vec::new();
    for line in TABLE.lines().filter_map(|line| line.strip_prefix("parse\t")) {
        let (tag, read) = line.split_once('\t').unwrap();
        // Tags have 128 letters at most.
        if is_lone_number(tag) || tag.len() > 128 {
            assert_eq!(of_tag(tag).is_some(), tag.len() > 128, "{tag}");
            continue;
        }
        let ours = of_tag(tag).map_or("!".to_owned(), |version| version.to_string());
        if ours != read {
            wrong.push(format!("{tag}: {ours}, the library {read}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
