//! Any bytes as a YAML file, a JSON file, and a definition by itself: read or refused, never a panic, and every place
//! that is pointed at is in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_manifests::{Diagnostic, definition, parse};

fn check(problems: &[Diagnostic]) {
    for problem in problems {
        if let Some(span) = &problem.span {
            assert!(span.start <= span.end && span.end as usize <= span.file.text.len());
            assert!(span.file.text.get(span.start as usize..span.end as usize).is_some(), "a place inside of a letter");
            let _ = problem.place();
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    for path in ["a.yaml", "a.json"] {
        let Ok(file) = parse::decode(path, bytes.to_vec()) else { return };
        match parse::parse(&file) {
            Ok(node) => drop(node.to_json()),
            Err(problems) => check(&problems),
        }
        for side in [definition::Side::Declared, definition::Side::Live] {
            let mut problems = Vec::new();
            let _ = definition::read(&file, side, &mut problems);
            check(&problems);
        }
    }
});
