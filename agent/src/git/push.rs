//! Pushing one commit to one branch, over any transport, by the `git-receive-pack` service.
//!
//! The server does not check that a push is a fast-forward. What guards the branch is the old id that the push carries:
//! the commit that ours was built on, and nothing else. See `gitprotocol-pack` in Git's documentation.

use super::{
    GitError,
    failure::{Failure, plain},
    pack::{Objects, pack},
    report::Report,
    wire::Wire,
};
use gix::{
    ObjectId,
    bstr::ByteSlice,
    protocol::{
        Handshake,
        transport::{
            Protocol, Service,
            client::{MessageKind, WriteMode, blocking_io::Transport},
        },
    },
};
use std::io::{Read, Write};

/// Longest answer of a server that is read, in bytes.
const LONGEST_REPORT: u64 = 1024 * 1024;
/// Longest reason that is quoted, in characters.
const LONGEST_REASON: usize = 400;

/// Why a push did not move the branch, or is not known to have moved it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The branch is not where the commit was built: read it again, and decide again.
    #[error("the branch {branch} was moved by somebody else")]
    Moved {
        /// The branch.
        branch: String,
    },
    /// The server does not take it: a protected branch, a hook. A person must act.
    #[error("the server refuses the push to {branch}: {reason}")]
    Refused {
        /// The branch.
        branch: String,
        /// The server's words.
        reason: String,
    },
    /// Nobody knows whether the branch was moved: the answer was lost.
    #[error("the answer to the push was lost: {reason}")]
    Unknown {
        /// What went wrong.
        reason: String,
    },
    /// The repository cannot be read, reached, or refuses the credentials. Nothing was written.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Moves a branch from one commit to another.
pub(super) fn push(
    wire: &mut Wire,
    branch: &str,
    old: ObjectId,
    new: ObjectId,
    objects: &Objects,
) -> Result<(), PushError> {
    let mut transport = wire.transport(Protocol::V1)?;
    wire.gauge().expect_push();
    let handshake = gix::protocol::handshake(
        &mut transport,
        Service::ReceivePack,
        |_| Ok(None),
        Vec::new(),
        &mut gix::progress::Discard,
    )
    .map_err(|error| wire.classify(&error))?;
    let reference = format!("refs/heads/{branch}");
    if advertised(&handshake, &reference) != Some(old) {
        return Err(PushError::Moved { branch: branch.to_owned() });
    }
    let has = |name: &str| handshake.capabilities.contains(name);
    if !has("report-status") {
        let reason = "the server reports no status".to_owned();
        return Err(PushError::Refused { branch: branch.to_owned(), reason });
    }
    let has_bands = has("side-band-64k");
    let mut wanted = vec!["report-status"];
    if has_bands {
        wanted.push("side-band-64k");
    }
    let agent = format!("agent=lockstep/{}", env!("CARGO_PKG_VERSION"));
    if has("agent") {
        wanted.push(&agent);
    }
    let pack = pack(objects).map_err(|reason| GitError::Unreadable { repository: wire.url().to_owned(), reason })?;
    let command = format!("{old} {new} {reference}\0 {}", wanted.join(" "));
    // From here on the server may have what it needs to move the branch.
    let lost = |reason: String| PushError::Unknown { reason: wire.without_token(&reason) };
    let refused = |reason: &str| PushError::Refused {
        branch: branch.to_owned(),
        reason: plain(&wire.without_token(reason), LONGEST_REASON),
    };
    let report = match exchange(&mut *transport, &command, &pack, has_bands) {
        Ok(report) => report,
        Err(error) => {
            return Err(match wire.failure() {
                Some(failure) if failure.refuses_request() => refused(&told(&failure)),
                Some(failure) if failure.came_before() => wire.classify(&error).into(),
                _ => match wire.classify(&error) {
                    // Over SSH nobody was let in.
                    GitError::Refused { repository, reason } => GitError::Refused { repository, reason }.into(),
                    other => lost(other.to_string()),
                },
            });
        }
    };
    let said = said(&wire.gauge().said());
    match Report::parse(&report, &reference) {
        Report::Done => Ok(()),
        Report::Refused(reason) if is_moved(&reason) || is_moved(&said) => {
            Err(PushError::Moved { branch: branch.to_owned() })
        }
        Report::Refused(reason) if said.is_empty() => Err(refused(&reason)),
        Report::Refused(reason) => Err(refused(&format!("{reason} ({said})"))),
        Report::Unreadable(reason) => Err(lost(reason)),
    }
}

/// A refusal of the request as a whole.
fn told(failure: &Failure) -> String {
    match failure {
        Failure::Status { code: 413, .. } => {
            format!("it is larger than the server, or a proxy before it, takes in one request: {failure}")
        }
        _ => failure.to_string(),
    }
}

/// What the server and its hooks said, line by line. How the words were cut into packets is chance.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split(['\n', '\r']).map(|line| plain(line, LONGEST_REASON)).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// What the server says that the branch points at.
fn advertised(handshake: &Handshake, reference: &str) -> Option<ObjectId> {
    handshake.refs.iter().flatten().find_map(|known| {
        let (name, target, peeled) = known.unpack();
        (name == reference.as_bytes().as_bstr()).then(|| target.or(peeled).map(ToOwned::to_owned)).flatten()
    })
}

/// Sends the command and the pack. Answers the report.
fn exchange(
    transport: &mut (dyn Transport + Send),
    command: &str,
    pack: &[u8],
    has_bands: bool,
) -> std::io::Result<Vec<u8>> {
    let mut request = transport.request(WriteMode::Binary, MessageKind::Flush, false).map_err(std::io::Error::other)?;
    request.write_all(command.as_bytes())?;
    request.write_message(MessageKind::Flush)?;
    let (mut writer, mut reader) = request.into_parts();
    writer.write_all(pack)?;
    writer.flush()?;
    // The server answers only once the request has an end.
    drop(writer);
    let mut report = Vec::new();
    if has_bands {
        // The words beside the report are heard where they arrive; with a handler they are kept apart from it.
        reader.set_progress_handler(Some(Box::new(|_, _: &[u8]| std::ops::ControlFlow::Continue(()))));
        reader.as_mut().take(LONGEST_REPORT).read_to_end(&mut report)?;
    } else {
        while let Some(line) = reader.readline() {
            let line = line?.map_err(std::io::Error::other)?;
            let Some(data) = line.as_slice() else { break };
            report.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
            report.extend_from_slice(data);
            if report.len() as u64 > LONGEST_REPORT {
                break;
            }
        }
        report.extend_from_slice(b"0000");
    }
    Ok(report)
}

/// Whether a server's words mean that somebody else was faster, or is at it now.
fn is_moved(text: &str) -> bool {
    let words = [
        "fetch first",
        "non-fast-forward",
        "but expected",
        "cannot lock ref",
        "failed to update ref",
        "incorrect old value",
        "atomic transaction failed",
        "reference already exists",
        "stale info",
    ];
    let lower = text.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}
