//! What is committed as generated is what the generator writes.

use std::{path::Path, process::Command};

#[test]
fn the_ecs_types_are_what_the_generator_writes() {
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests-schema/generate/generate.py");
    let output = Command::new("python3").arg(&generator).arg("--check").output().expect("python3 must be installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "the committed files differ from the generator's, or the pinned service model could not be fetched from PyPI:\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}
