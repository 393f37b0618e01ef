//! Any bytes as a config repository that has an environment: what rendering builds is within the budget, and was counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_manifests::{
    Repository, Service,
    budget::{SERVICE, Weight},
    diagnostic, render,
    substitute::Parameters,
    tree::MemoryTree,
};

const NAMES: [&str; 5] = [
    "services/web/service.yaml",
    "services/web/prod.yaml",
    "services/web/prod.pins.yaml",
    "components/c.yaml",
    "services/web/taskdef.json",
];
const CONFIG: &str = "version: 1\nenvironments:\n  prod: { account: \"111111111111\", region: r, cluster: c, vars: { a: 1, b: [x, y] } }\n";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let files = NAMES.into_iter().zip(text.split("%%\n"));
    let tree = MemoryTree::new(std::iter::once(("lockstep.yaml", CONFIG)).chain(files));
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    for directory in &repository.services {
        let service = Service::load(&repository, directory, &tree, &mut problems);
        for environment in repository.environments.values().filter(|environment| service.is_in(environment)) {
            let mut meter = render::meter();
            let found = render::render_offline(&repository, environment, &service, &mut meter, &mut problems);
            let Some((rendered, desired)) = found else { continue };
            let used = meter.used();
            assert!(used.fits(SERVICE), "what is too much is refused: {used:?}");
            // Beside what was counted there are the roots of both definitions.
            assert!(rendered.weight().fits(used.and(Weight::new(3, 64))), "{:?} of {used:?}", rendered.weight());
            let sent = Weight::of_json(&desired.task_definition).and(Weight::of_json(&desired.service));
            // Keys are spelled out, and what ECS asks for is filled in.
            assert!(sent.nodes <= 4 * used.nodes + 64 && sent.bytes <= 16 * used.bytes + 64 * used.nodes + 4096, "{sent:?}");
            let _ = render::bind(&rendered, environment, &Parameters::new());
        }
    }
    diagnostic::cut(&mut problems);
    assert!(problems.len() <= (NAMES.len() + 3) * diagnostic::MOST_OF_A_FILE);
});
