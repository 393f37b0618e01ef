//! One definition in a file of its own, apart from any repository.

use crate::{
    exit::{Exit, Failure},
    output::{self, diagnostics},
};
use lockstep_core::verify::{self, Check, CheckOutcome};
use lockstep_manifests::{
    Desired, Diagnostic, Severity,
    canonical::Root,
    definition::{self, Definition, Side},
    layer::Ownership,
    locate::locate,
    parse,
    repository::CONFIG,
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// Reads a file, and says what is wrong with it. None where it is not usable.
pub(super) fn read(path: &Path, side: Side) -> Result<Option<Definition>, Failure> {
    let (found, problems) = look_at(path, side)?;
    for problem in problems.iter().filter(|problem| problem.severity != Severity::Note) {
        output::say(&format!("{}\n", diagnostics::render(problem)));
    }
    Ok(found)
}

/// Reads a file. What is wrong with it comes beside.
pub(super) fn look_at(path: &Path, side: Side) -> Result<(Option<Definition>, Vec<Diagnostic>), Failure> {
    let fail =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("failed to read {}: {error}", path.display()));
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        let message = format!("{} is a directory", path.display());
        return Err(
            Failure::new(Exit::Usage, message).hint(format!("a repository is named with -C {}", path.display()))
        );
    }
    let size = metadata.len();
    // What is larger is refused by its size; only as much is read as that takes.
    let mut bytes = Vec::new();
    let mut open = std::io::Read::take(std::fs::File::open(path).map_err(fail)?, parse::MAX_FILE as u64 + 1);
    std::io::Read::read_to_end(&mut open, &mut bytes).map_err(fail)?;
    let mut problems = Vec::new();
    let name = path.display().to_string();
    let found = match parse::decode(&name, bytes) {
        Ok(source) => definition::read(&source, side, &mut problems),
        Err(problem) if size > parse::MAX_FILE as u64 => {
            let message = format!("the file has {size} bytes, more than the limit of {}", parse::MAX_FILE);
            problems.push(Diagnostic { message, ..*problem });
            None
        }
        Err(problem) => {
            problems.push(*problem);
            None
        }
    };
    if let Some(definition) = &found {
        // In a config repository a file is one layer of several: what it lacks may stand elsewhere.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let is_layer = absolute.ancestors().skip(1).any(|directory| directory.join(CONFIG).is_file());
        let as_layer = |problem: Diagnostic| {
            problem.as_warning().hint("by this file alone; `lockstep validate` of the repository looks at all layers")
        };
        problems
            .extend(checked(definition).into_iter().map(|problem| if is_layer { as_layer(problem) } else { problem }));
    }
    Ok((found, problems))
}

/// The checks that this one file decides.
fn checked(definition: &Definition) -> Vec<Diagnostic> {
    if definition.root != Root::TaskDefinition {
        return Vec::new();
    }
    let desired = Desired {
        name: String::new(),
        environment: String::new(),
        service_name: String::new(),
        ownership: Ownership::TaskDefinition,
        after: Vec::new(),
        ignore: Vec::new(),
        adopt: false,
        replace: false,
        sync: lockstep_manifests::Narrowing::default(),
        task_definition: definition.value.clone(),
        task_definition_tags: Map::new(),
        service: Value::Null,
        service_tags: Map::new(),
        parameters: BTreeMap::new(),
    };
    verify::offline(&desired).iter().filter_map(|check| as_problem(check, definition)).collect()
}

fn as_problem(check: &Check, definition: &Definition) -> Option<Diagnostic> {
    let span = locate(&definition.node, definition.root, check.path.0.get(1..).unwrap_or_default());
    let problem = Diagnostic::error(check.code, &span, format!("{}: {}", check.path, check.text));
    match check.outcome {
        CheckOutcome::Fail => Some(problem),
        CheckOutcome::Warn => Some(problem.as_warning()),
        CheckOutcome::Ok | CheckOutcome::Skip => None,
    }
}

/// What a definition is called.
pub(super) fn name(root: Root) -> &'static str {
    match root {
        Root::TaskDefinition => "task definition",
        Root::Service => "service",
    }
}
