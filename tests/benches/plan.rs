//! What reading, rendering and planning cost on one core: `cargo bench -p lockstep-tests --bench plan`.

use criterion::{Criterion, criterion_group, criterion_main};
use lockstep::reconcile::{Loader, Snapshot};
use lockstep_core::{
    observed::{History, LiveDeployment, LiveService, Observation, Reading, Revision},
    service::plan::{PlanOutcome, Surroundings, plan_service},
    stated::identity,
    tags::Tags,
};
use lockstep_manifests::{
    Desired,
    render::bind,
    substitute::Parameters,
    tree::{FileEntry, Tree},
};
use lockstep_tests::world::{ONE_ENVIRONMENT, service};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    hint::black_box,
};

const SERVICES: usize = 1000;

/// Files in memory with ids of their content, as Git has them.
struct Files(Vec<FileEntry>, BTreeMap<String, String>);

impl Tree for Files {
    fn files(&self) -> &[FileEntry] {
        &self.0
    }

    fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String> {
        Ok(self.1[&file.path].clone().into_bytes())
    }
}

/// A repository of [`SERVICES`] services; the one of number 500 on this tag.
fn repository(tag: &str) -> Files {
    let mut contents = BTreeMap::from([("lockstep.yaml".to_owned(), ONE_ENVIRONMENT.to_owned())]);
    for number in 0..SERVICES {
        let tag = if number == 500 { tag } else { "1" };
        contents.insert(format!("services/s{number:04}/service.yaml"), service(&format!("registry.example/app:{tag}")));
    }
    let id = |content: &str| content.len().to_string() + &content[content.len() / 3..];
    let files = contents.iter().map(|(path, content)| FileEntry::file(path.clone(), id(content))).collect();
    Files(files, contents)
}

fn bound(snapshot: &Snapshot) -> Vec<Desired> {
    let environment = &snapshot.repository.environments["prod"];
    snapshot
        .services
        .iter()
        .filter_map(|service| service.environments["prod"].as_ref().ok())
        .filter_map(|rendered| bind(rendered, environment, &Parameters::new()).ok())
        .collect()
}

/// What ECS returns when everything is as declared.
fn observed(desired: &Desired) -> Observation {
    let deployment =
        LiveDeployment { status: "PRIMARY".into(), rollout: "COMPLETED".into(), ..LiveDeployment::default() };
    let live = LiveService {
        status: "ACTIVE".into(),
        definition: desired.service.clone(),
        tags: identity::ownership_tags("acme", "prod", &desired.service_name),
        task_definition: "arn".into(),
        desired: 1,
        running: 1,
        deployments: vec![deployment],
        ..LiveService::default()
    };
    let revision = Revision {
        arn: "arn".into(),
        definition: desired.task_definition.clone(),
        tags: Tags::new(),
        active: true,
        ..Revision::default()
    };
    Observation {
        service: Reading::Found(live),
        revision: Reading::Found(revision),
        newest: Reading::Missing,
        history: Reading::Found(History::Known(Vec::new())),
        ..Observation::default()
    }
}

fn around() -> Surroundings<'static> {
    Surroundings {
        source: "acme",
        commit: "c",
        may_adopt: false,
        adopt_now: false,
        waiting_for: None,
        retry: false,
        ..Surroundings::default()
    }
}

/// One service as it would be sent.
fn one_of(snapshot: &Snapshot, number: usize) -> Desired {
    let environment = &snapshot.repository.environments["prod"];
    let rendered = snapshot.services[number].environments["prod"].as_ref().expect("it renders");
    bind(rendered, environment, &Parameters::new()).expect("it binds")
}

fn plan_all(desired: &[Desired], observed: &[Observation]) {
    let around = around();
    for (desired, observed) in desired.iter().zip(observed) {
        let PlanOutcome::Planned(plan) = plan_service(desired, observed, &around) else { panic!("it asks") };
        assert!(!black_box(plan).has_differences());
    }
}

fn benches(criterion: &mut Criterion) {
    let first = repository("1");
    let second = repository("2");
    let snapshot = Loader::default().load(&first, "c", "");
    let desired = bound(&snapshot);
    assert_eq!(desired.len(), SERVICES);
    let answers: Vec<Observation> = desired.iter().map(observed).collect();

    criterion.bench_function("parse + render + bind + plan, 1000 services, cold", |bench| {
        bench.iter(|| {
            let snapshot = Loader::default().load(&first, "c", "");
            plan_all(&bound(&snapshot), &answers);
        });
    });
    criterion.bench_function("render + plan, 1000 services, files parsed before", |bench| {
        bench.iter(|| plan_all(&bound(&snapshot), &answers));
    });
    criterion.bench_function("plan, 1000 services at rest", |bench| bench.iter(|| plan_all(&desired, &answers)));
    criterion.bench_function("recognise that 1000 answers are as before", |bench| {
        bench.iter(|| {
            for answer in &answers {
                let mut hasher = DefaultHasher::new();
                answer.service.found().expect("it is found").hash(&mut hasher);
                black_box(hasher.finish());
            }
        });
    });
    let mut loader = Loader::default();
    loader.load(&first, "c", "");
    let mut flip = false;
    criterion.bench_function("load + render + bind + plan, one changed file of 1000 services", |bench| {
        bench.iter(|| {
            flip = !flip;
            let snapshot = loader.load(if flip { &second } else { &first }, "c", "");
            let changed = one_of(&snapshot, 500);
            let PlanOutcome::Planned(plan) = plan_service(&changed, &answers[500], &around()) else {
                panic!("it asks")
            };
            black_box(plan);
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);
