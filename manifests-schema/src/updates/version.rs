//! Versions as people write them into tags: semantic versions with a leading `v`, without a patch number, or with
//! leading zeros in the numbers.

use semver::{BuildMetadata, Prerelease, Version};

/// Reads a tag as a version: `1.4.2`, `v1.4.2-rc.1`, `v1.2`, `2026.01.15`. A lone number is none unless `v` stands before it:
/// it may as well be a build number, a date, or a commit.
pub fn of_tag(tag: &str) -> Option<Version> {
    let (text, has_v) = tag.strip_prefix('v').map_or((tag, false), |rest| (rest, true));
    let version = lenient(text)?;
    (has_v || text.contains('.')).then_some(version)
}

/// Reads what a pattern cut out of a tag as a version. A lone number is one: who wrote the pattern said so.
pub fn of_cut(text: &str) -> Option<Version> {
    lenient(text.strip_prefix('v').unwrap_or(text))
}

/// Reads a row of numbers of any length and size, between dots, hyphens, underscores and plus signs: `12.5.10.3`,
/// `2026.11.30-2`. Each without its leading zeros.
pub fn numbers(text: &str) -> Option<Vec<String>> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_prefix('v').unwrap_or(text).split(['.', '-', '_', '+']);
    parts.map(|part| is_number(part).then(|| part.trim_start_matches('0').to_owned())).collect()
}

/// One to three numbers with what follows them.
pub(super) fn lenient(text: &str) -> Option<Version> {
    let (text, build) = match text.split_once('+') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let (numbers, pre) = match text.split_once('-') {
        Some((_, "")) => return None,
        Some((numbers, pre)) => (numbers, Prerelease::new(pre).ok()?),
        None => (text, Prerelease::EMPTY),
    };
    let mut parts = [0_u64; 3];
    for (at, part) in numbers.split('.').enumerate() {
        *parts.get_mut(at)? = number(part)?;
    }
    Some(Version { major: parts[0], minor: parts[1], patch: parts[2], pre, build: BuildMetadata::new(build).ok()? })
}

/// Digits only; `parse` would take a sign.
pub(super) fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// How many numbers a tag writes: of two tags of one version the more exact one is taken.
pub fn exactness(tag: &str) -> usize {
    tag.split(['-', '+']).next().unwrap_or_default().split('.').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_numbers_have_any_length() {
        let read = |text: &str| numbers(text).map(|row| row.join(" "));
        for (text, expected) in [
            ("12.5.10.3", "12 5 10 3"),
            ("v1.2.3_5", "1 2 3 5"),
            ("2026.01.30-2", "2026 1 30 2"),
            ("7", "7"),
            ("1.0+99999999999999999999999", "1  99999999999999999999999"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "v", "1.", ".1", "1..2", "1.2.3-rc.1", "1.2.x", "latest", "-1", "١.٢"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn tags_are_read_leniently_and_numbers_alone_are_not_versions() {
        let read = |tag: &str| of_tag(tag).map(|version| version.to_string());
        for (tag, expected) in [
            ("1.4.2", "1.4.2"),
            ("v1.2", "1.2.0"),
            ("v1", "1.0.0"),
            ("1.2-rc.1", "1.2.0-rc.1"),
            ("2026.01.15", "2026.1.15"),
            ("1.2.3-alpha-1", "1.2.3-alpha-1"),
            ("1.2.3+5", "1.2.3+5"),
        ] {
            assert_eq!(read(tag).as_deref(), Some(expected), "{tag}");
        }
        for tag in [
            "",
            "v",
            "1",
            "20260115",
            "7654321",
            "1.2.3.4",
            "1.2.3_1",
            "1.",
            ".1",
            "1.2.3-",
            "1.2.3+",
            "latest",
            "+1.2",
            "V1.2",
            "1.2.3-01",
            "99999999999999999999.1",
            "1.-2",
            "1.+2",
        ] {
            assert_eq!(read(tag), None, "{tag}");
        }
    }
}
