//! A judge that is not ours: every answer in a sandbox's journal against the service models of botocore.

use crate::moto::{BOTOCORE, installed};
use lockstep_sandbox::JournalEntry;
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
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
    if entries.is_empty() {
        return (String::new(), "judged 0".to_owned());
    }
    // One for all tests of a process: it loads the models once. Where a test failed while it was asked, another begins.
    static BENCH: Mutex<Option<Bench>> = Mutex::new(None);
    let mut guard = BENCH.lock().unwrap_or_else(PoisonError::into_inner);
    let mut bench = guard.take().unwrap_or_else(Bench::start);
    let (findings, judged) = bench.hear(entries);
    *guard = Some(bench);
    (findings.join("\n"), format!("judged {judged}"))
}

/// The judge's process.
struct Bench {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Verdict {
    findings: Vec<String>,
    judged: usize,
}

impl Bench {
    fn start() -> Self {
        let mut child = Command::new(installed().join("bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("judge/judge.py"))
            .arg(BOTOCORE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the judge starts");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, stdin, stdout }
    }

    fn hear<T: Serialize>(&mut self, entries: &[T]) -> (Vec<String>, usize) {
        let mut text = String::new();
        for entry in entries {
            text.push_str(&serde_json::to_string(entry).expect("an entry is JSON"));
            text.push('\n');
        }
        text.push_str("null\n");
        // It says nothing before it has heard all. One that ended early says why on stderr.
        let heard = self.stdin.write_all(text.as_bytes()).and_then(|()| self.stdin.flush());
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        match serde_json::from_str(&line) {
            Ok(Verdict { findings, judged }) => (findings, judged),
            Err(error) => {
                let ended = self.child.wait();
                panic!("the judge failed: {error}, {heard:?}, {read:?}, {ended:?}: {line}");
            }
        }
    }
}
