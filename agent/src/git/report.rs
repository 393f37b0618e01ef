//! What a server answers to a push: the report of `report-status`, in packet lines.

/// What became of the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It was moved.
    Done,
    /// It was not, for this reason.
    Refused(String),
    /// The answer does not say.
    Unreadable(String),
}

impl Report {
    /// Reads the packet lines of a report for one branch.
    pub(super) fn parse(bytes: &[u8], reference: &str) -> Self {
        let mut rest = bytes;
        let mut unpacked = None;
        let mut outcome = None;
        while let Some(line) = next_line(&mut rest) {
            let Ok(line) = line else {
                return Self::Unreadable("the server's report is not in packet lines".to_owned());
            };
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end();
            if let Some(result) = text.strip_prefix("unpack ") {
                unpacked = Some(result.to_owned());
            } else if let Some(name) = text.strip_prefix("ok ") {
                if name == reference {
                    outcome = Some(Self::Done);
                }
            } else if let Some(failed) = text.strip_prefix("ng ") {
                let (name, reason) = failed.split_once(' ').unwrap_or((failed, "without a reason"));
                if name == reference {
                    outcome = Some(Self::Refused(reason.to_owned()));
                }
            }
        }
        match (unpacked.as_deref(), outcome) {
            (Some("ok"), Some(outcome)) => outcome,
            (Some(reason), Some(Self::Refused(_)) | None) if reason != "ok" => {
                Self::Refused(format!("it could not unpack the objects: {reason}"))
            }
            (_, Some(refused @ Self::Refused(_))) => refused,
            _ => Self::Unreadable("the server's report does not name the branch".to_owned()),
        }
    }
}

/// The next packet line; none at the end, or at a flush.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<Result<&'a [u8], ()>> {
    if rest.is_empty() {
        return None;
    }
    let length = rest
        .get(..4)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length {
        Some(0) => None,
        Some(length) if length >= 4 && length <= rest.len() => {
            let (line, after) = rest.split_at(length);
            *rest = after;
            Some(Ok(&line[4..]))
        }
        _ => Some(Err(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            texts.iter().flat_map(|text| format!("{:04x}{text}", text.len() + 4).into_bytes()).collect();
        bytes.extend_from_slice(b"0000");
        bytes
    }

    #[test]
    fn only_ok_for_the_branch_after_a_good_unpack_is_success() {
        let read = |texts: &[&str]| Report::parse(&lines(texts), "refs/heads/main");
        assert_eq!(read(&["unpack ok\n", "ok refs/heads/main\n"]), Report::Done);
        assert_eq!(read(&["unpack ok", "ng refs/heads/main hook declined"]), Report::Refused("hook declined".into()));
        assert_eq!(
            read(&["unpack index-pack failed", "ng refs/heads/main unpacker error"]),
            Report::Refused("it could not unpack the objects: index-pack failed".into())
        );
        let silent = Report::Unreadable("the server's report does not name the branch".into());
        assert_eq!(read(&["unpack ok", "ok refs/heads/other"]), silent);
        assert_eq!(read(&["ok refs/heads/main"]), silent);
        assert_eq!(read(&["unpack broken", "ok refs/heads/main"]), silent);
        assert_eq!(read(&[]), silent);
    }

    #[test]
    fn what_is_no_report_is_unreadable() {
        for bytes in [&b"hello"[..], b"0003", b"ffff", b"00zz", b"0005", b"+00a12345"] {
            assert!(matches!(Report::parse(bytes, "refs/heads/main"), Report::Unreadable(_)), "{bytes:?}");
        }
    }
}
