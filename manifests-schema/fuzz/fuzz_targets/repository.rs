//! Any bytes as a config repository: the parts between lines of `%%` are its files, in a fixed order of names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_manifests::{
    Repository, Service,
    render::{bind, bind_offline, render},
    substitute::Parameters,
    trace,
    tree::MemoryTree,
};

const NAMES: [&str; 7] = [
    "lockstep.yaml",
    "services/web/service.yaml",
    "services/web/prod.yaml",
    "services/web/prod.pins.yaml",
    "components/c.yaml",
    "services/web/taskdef.json",
    "services/web/servicedef.yaml",
];
const CONFIG: &str = "version: 1\nenvironments:\n  prod: { account: \"111111111111\", region: r, cluster: c, vars: { a: 1, b: [x, y] } }\n";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut files: Vec<(&str, &str)> = NAMES.into_iter().zip(text.split("%%\n")).collect();
    // An empty first part stands for a repository that has an environment: the others are reached through it.
    if files[0].1.is_empty() {
        files[0].1 = CONFIG;
    }
    let tree = MemoryTree::new(files);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    for directory in &repository.services {
        let service = Service::load(&repository, directory, &tree, &mut problems);
        for environment in repository.environments.values().filter(|environment| service.is_in(environment)) {
            if let Some(rendered) = render(&repository, environment, &service, &mut problems) {
                let _ = bind(&rendered, environment, &Parameters::new());
                let desired = bind_offline(&rendered, environment);
                assert!(desired.task_definition.is_object());
                let _ = trace::trace(&repository, environment, &service, &rendered, None);
            }
        }
    }
    for problem in &problems {
        let _ = problem.place();
    }
});
