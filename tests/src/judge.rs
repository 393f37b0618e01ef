//! A judge that is not ours: every answer in a sandbox's journal against the service models of botocore.

use crate::moto::{BOTOCORE, installed};
use lockstep_sandbox::JournalEntry;
use serde::Serialize;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Judges the answers of a journal that was kept with `journal_answers`. Answers how many there are.
///
/// # Panics
/// With all findings, one a line, when an answer is not as the model says.
pub fn judge(journal: &[JournalEntry]) -> usize {
    let answered: Vec<_> = journal.iter().filter(|entry| entry.answer.is_some()).collect();
    let (findings, judged) = run(&answered);
    assert!(findings.is_empty(), "answers that are not as botocore's models say:\n{findings}");
    assert_eq!(judged, format!("judged {}", answered.len()));
    answered.len()
}

/// What the judge says to these entries: its findings, and its account of what it has seen. An entry may have a member
/// `xml`, the answer as it was rendered for the query protocol.
pub fn run<T: Serialize + Sync>(entries: &[T]) -> (String, String) {
    let mut child = Command::new(installed().join("bin/python"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("judge/judge.py"))
        .arg(BOTOCORE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the judge starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            for entry in entries {
                let line = serde_json::to_string(entry).expect("an entry is JSON");
                // A judge that ended early says why.
                let _ = writeln!(stdin, "{line}");
            }
        });
        child.wait_with_output().expect("the judge ends")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (findings, account) = (text(&output.stdout), text(&output.stderr));
    let expected = if findings.is_empty() { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(expected), "the judge failed: {findings}\n{account}");
    (findings, account)
}
