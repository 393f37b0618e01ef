//! Any text as a pins file, with a container in the first line and a pin in the second: the edit is exact or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_manifests::{edit::set_pin, parse, pins, source::SourceFile};

fn read(text: &str) -> Option<Vec<(String, String)>> {
    let node = parse::parse(&SourceFile::new("pins.yaml", text)).ok()?;
    let mut problems = Vec::new();
    let pins = pins::read(&node, &mut problems);
    problems.is_empty().then(|| pins.into_iter().map(|pin| (pin.container, pin.text)).collect())
}

fuzz_target!(|input: &str| {
    let Some((container, rest)) = input.split_once('\n') else { return };
    let Some((pin, text)) = rest.split_once('\n') else { return };
    let Ok(edited) = set_pin(text, container, pin) else { return };
    let before = read(text).expect("only what can be read is edited");
    let after = read(&edited).expect("what was edited can be read");
    let others = |pins: &[(String, String)]| -> Vec<(String, String)> {
        pins.iter().filter(|(known, _)| known != container).cloned().collect()
    };
    assert_eq!(others(&before), others(&after), "another pin has changed");
    assert!(after.iter().any(|(known, found)| known == container && found == pin), "the pin is not set");
    assert_eq!(set_pin(&edited, container, pin).as_ref(), Ok(&edited), "the same again changes something");
    // One piece differs, and it is one scalar or one line.
    let head = text.bytes().zip(edited.bytes()).take_while(|(a, b)| a == b).count();
    let tails = text.as_bytes()[head..].iter().rev().zip(edited.as_bytes()[head..].iter().rev());
    let tail = tails.take_while(|(a, b)| a == b).count();
    let (old, new) = (&text.as_bytes()[head..text.len() - tail], &edited.as_bytes()[head..edited.len() - tail]);
    match before.iter().find(|(known, _)| known == container) {
        Some(_) => assert!(new.len() <= pin.len() + 2, "more than the scalar has changed"),
        None => {
            assert!(old.is_empty(), "something is gone");
            assert!(new.iter().filter(|byte| **byte == b'\n').count() <= 2, "more than a line is new");
        }
    }
});
