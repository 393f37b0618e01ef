//! The finer rules of the language: what a repository may cost, what is refused where, traces, and layers by property.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_manifests::{
    Desired, Diagnostic, Rendered, Repository, Service, Severity,
    parse::{MAX_DEPTH, MAX_FILE},
    patch::MAX_OPERATIONS,
    render::{bind, matched_nowhere, render},
    repository::MAX_FILES,
    strays,
    substitute::Parameters,
    trace::trace,
    tree::{EntryKind, FileEntry, MemoryTree, Tree},
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "language/budget.rs"]
mod budget;

const CONFIG: &str = "version: 2\nenvironments:\n  prod: { account: \"111111111111\", region: eu-central-1, cluster: prod, vars: { domain: example.com } }\n";
const WEB: &str = "taskDefinition:\n  cpu: \"512\"\n  containerDefinitions:\n    web: { image: x, memory: 64, portMappings: { 8080: {} }, environment: { LEVEL: info } }\nservice: { desiredCount: 2 }\n";

struct Run {
    rendered: Option<Rendered>,
    desired: Option<Desired>,
    problems: Vec<Diagnostic>,
    repository: Repository,
    service: Option<Service>,
}

impl Run {
    fn said(&self) -> Vec<String> {
        said(&self.problems)
    }
}

fn said(problems: &[Diagnostic]) -> Vec<String> {
    let one = |problem: &Diagnostic| {
        let place = problem.place().map_or(String::new(), |(file, line, column)| format!("{file}:{line}:{column} "));
        format!("{} {place}{}", problem.code.id, problem.message)
    };
    problems.iter().map(one).collect()
}

fn run(files: &[(&str, &str)]) -> Run {
    let mut files: Vec<(String, Vec<u8>)> =
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    if !files.iter().any(|(path, _)| path == "lockstep.yaml") {
        files.push(("lockstep.yaml".into(), CONFIG.into()));
    }
    run_tree(&MemoryTree::new(files))
}

fn run_tree(tree: &dyn Tree) -> Run {
    let mut problems = Vec::new();
    let repository = Repository::load(tree, &mut problems);
    problems.extend(strays::find(&repository, tree, &|_| false));
    let (mut rendered, mut desired, mut loaded) = (None, None, None);
    if let (Some(environment), Some(directory)) = (repository.environments.get("prod"), repository.services.first()) {
        let service = Service::load(&repository, directory, tree, &mut problems);
        rendered = render(&repository, environment, &service, &mut problems);
        problems.extend(matched_nowhere(&rendered));
        if let Some(rendered) = &rendered {
            match bind(rendered, environment, &Parameters::new()) {
                Ok(bound) => desired = Some(bound),
                Err(found) => problems.extend(found),
            }
        }
        loaded = Some(service);
    }
    Run { rendered, desired, problems, repository, service: loaded }
}

/// A service.yaml with this appended.
fn with(addition: &str) -> Vec<String> {
    run(&[("services/web/service.yaml", &format!("{WEB}{addition}"))]).said()
}

#[test]
fn what_a_repository_may_cost_is_bounded() {
    let long = format!("# {}\n{WEB}", "x".repeat(MAX_FILE));
    let said = run(&[("services/web/service.yaml", &long)]).said();
    assert!(said[0].starts_with("LS0001 services/web/service.yaml:1:1 the file has "), "{said:?}");
    for (text, open, close) in [("deep.yaml", "[", "]"), ("deep.yaml", "{a: ", "}")] {
        let deep = format!("vars: {{ x: {}1{} }}\n", open.repeat(MAX_DEPTH), close.repeat(MAX_DEPTH));
        let said = run(&[("services/web/service.yaml", &deep)]).said();
        assert!(said[0].starts_with("LS0005"), "{text}: {said:?}");
    }
    let wide = format!("vars: {{ x: [{}] }}\n", "1,".repeat(100_001));
    let said = run(&[("services/web/service.yaml", &wide)]).said();
    assert!(said[0].starts_with("LS0005"), "{said:?}");
    let operations = "  - { op: test, path: /service/desiredCount, value: 2 }\n".repeat(MAX_OPERATIONS + 1);
    let said = with(&format!("patches:\n{operations}"));
    assert!(said[0].starts_with("LS0005") && said[0].contains("501 operations"), "{said:?}");
}

#[test]
fn aliases_expand_only_so_far() {
    // Nine levels of nine aliases each: a billion values from twelve lines.
    let mut text = String::from("vars:\n  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!("  a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", ")));
    }
    let said = run(&[("services/web/service.yaml", &text)]).said();
    assert!(
        said[0].starts_with("LS0005")
            && said[0].contains("with this alias the document becomes more than 100000 values"),
        "{said:?}"
    );
}

struct Many(Vec<FileEntry>);

impl Tree for Many {
    fn files(&self) -> &[FileEntry] {
        &self.0
    }

    fn read(&self, _: &FileEntry) -> Result<Vec<u8>, String> {
        Ok(CONFIG.into())
    }
}

#[test]
fn a_repository_has_only_so_many_files() {
    let entry = |path: String| FileEntry::file(path, "1");
    let mut files: Vec<FileEntry> =
        (0..=MAX_FILES).map(|at| entry(format!("services/s{at:06}/service.yaml"))).collect();
    files.insert(0, entry("lockstep.yaml".into()));
    let run = run_tree(&Many(files));
    assert_eq!(
        run.said(),
        [format!(
            "LS0005 the repository has {} files below services/ and components/, more than the limit of {MAX_FILES}",
            MAX_FILES + 1
        )]
    );
}

#[test]
fn odd_encodings_and_line_ends_are_read_or_refused() {
    let plain = run(&[("services/web/service.yaml", WEB)]);
    assert_eq!(plain.said(), Vec::<String>::new());
    for text in [WEB.replace('\n', "\r\n"), format!("\u{feff}{WEB}")] {
        let odd = run(&[("services/web/service.yaml", &text)]);
        assert_eq!((odd.said(), &odd.desired), (vec![], &plain.desired));
    }
    let tree = MemoryTree::new([
        ("lockstep.yaml", CONFIG.as_bytes().to_vec()),
        ("services/web/service.yaml", b"a: \xff\xfe\n".to_vec()),
    ]);
    assert_eq!(run_tree(&tree).said()[0], "LS0001 services/web/service.yaml:1:1 the file is not UTF-8 text (byte 3)");
    // Windows' second favourite.
    let utf16: Vec<u8> = WEB.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let tree = MemoryTree::new([("lockstep.yaml", CONFIG.as_bytes().to_vec()), ("services/web/service.yaml", utf16)]);
    assert!(run_tree(&tree).said()[0].starts_with("LS000"), "{:?}", run_tree(&tree).said());
    let said = run(&[("services/we b/service.yaml", WEB)]).said();
    assert_eq!(
        said,
        [
            "LS0110 services/we b/service.yaml:1:1 the directory's name `we b` is not a service name: use letters, digits, `-` and `_`"
        ]
    );
}

#[test]
fn a_link_is_named_and_never_followed() {
    let entry = |path: &str, kind| FileEntry { path: path.into(), id: "1".into(), kind };
    struct Linked(Vec<FileEntry>);
    impl Tree for Linked {
        fn files(&self) -> &[FileEntry] {
            &self.0
        }
        fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String> {
            assert!(file.is_regular(), "{} is read", file.path);
            Ok(if file.path == "lockstep.yaml" { CONFIG } else { "taskDefinition: taskdef.json\nservice: {}\n" }.into())
        }
    }
    let tree = Linked(vec![
        entry("lockstep.yaml", EntryKind::File),
        entry("services/web/service.yaml", EntryKind::File),
        entry("services/web/taskdef.json", EntryKind::Link),
    ]);
    let said = run_tree(&tree).said();
    assert!(
        said.contains(
            &"LS0001 services/web/taskdef.json:1:1 `services/web/taskdef.json` is a symbolic link; it is not followed"
                .to_owned()
        ),
        "{said:?}"
    );
    assert!(said.iter().any(|line| line.starts_with("LS0108 services/web/service.yaml:1:17")), "{said:?}");
}

#[test]
fn keys_and_our_own_settings_hold_no_substitution() {
    let labels = WEB.replace("memory: 64", "memory: 64, dockerLabels: { \"${{ vars.domain }}\": x }");
    assert_eq!(
        run(&[("services/web/service.yaml", &labels)]).said(),
        ["LS0201 services/web/service.yaml:4:50 a key cannot be substituted; substitutions stand in values only"]
    );
    let config = CONFIG.replace("region: eu-central-1", "region: \"${{ vars.domain }}\"");
    let said = run(&[("lockstep.yaml", &config), ("services/web/service.yaml", WEB)]).said();
    assert!(said[0].starts_with("LS0201 lockstep.yaml:3:44 `region` cannot be substituted"), "{said:?}");
    assert!(
        with("components: [\"${{ name }}\"]\n")[0].starts_with("LS0201"),
        "{:?}",
        with("components: [\"${{ name }}\"]\n")
    );
}

#[test]
fn an_ignored_path_must_match_something() {
    assert_eq!(
        with("ignore: [service.desiredCount, service.deploymentConfiguration.maximumPercent]\n"),
        Vec::<String>::new()
    );
    let path = "taskDefinition.containerDefinitions[web].environment[LEVEL]";
    assert_eq!(with(&format!("ignore: [\"{path}\"]\n")), Vec::<String>::new());
    let run = run(&[(
        "services/web/service.yaml",
        &format!("{WEB}ignore: [\"taskDefinition.containerDefinitions[wbe].image\"]\n"),
    )]);
    assert_eq!(
        run.said(),
        [
            "LS0105 services/web/service.yaml:6:10 `taskDefinition.containerDefinitions[wbe].image` matches nothing: no `wbe` is declared"
        ]
    );
    assert_eq!(run.problems[0].hint.as_deref(), Some("did you mean `web`?"));
    // What is ignored in service.yaml must match in one environment, what an overlay ignores in its own.
    let config = format!("{CONFIG}  dev: {{ account: \"111111111111\", region: eu-central-1, cluster: dev }}\n");
    let only_in_dev = "taskDefinition: { containerDefinitions: { agent: { image: y, memory: 64 } } }\n";
    let files = [
        ("lockstep.yaml", config.as_str()),
        (
            "services/web/service.yaml",
            &format!("{WEB}ignore: [\"taskDefinition.containerDefinitions[agent].image\"]\n"),
        ),
        ("services/web/dev.yaml", only_in_dev),
        ("services/web/prod.yaml", "{}"),
    ];
    let tree = MemoryTree::new(files);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    let service = Service::load(&repository, &repository.services[0], &tree, &mut problems);
    let rendered: Vec<Rendered> = repository
        .environments
        .values()
        .map(|environment| render(&repository, environment, &service, &mut problems).unwrap())
        .collect();
    assert_eq!((problems, rendered.iter().map(|one| one.unmatched.len()).collect::<Vec<_>>()), (vec![], vec![1, 0]));
    assert_eq!(matched_nowhere(&rendered), vec![]);
    assert_eq!(matched_nowhere(&rendered[..1]).len(), 1);
    let overlay = "ignore: [\"taskDefinition.containerDefinitions[agent].image\"]\n";
    let here = self::run(&[("services/web/service.yaml", WEB), ("services/web/prod.yaml", overlay)]);
    assert!(here.said()[0].starts_with("LS0105 services/web/prod.yaml:1:10"), "{:?}", here.said());
    // What many services share need not match in each.
    let shared = CONFIG.replace(
        "environments:",
        "defaults: { ignore: [\"taskDefinition.containerDefinitions[agent].image\"] }\nenvironments:",
    );
    assert_eq!(
        self::run(&[("lockstep.yaml", &shared), ("services/web/service.yaml", WEB)]).said(),
        Vec::<String>::new()
    );
}

#[test]
fn every_wrong_patch_is_reported_and_none_applies() {
    let patches = "patches:\n  - { op: replace, path: /service/desiredCount, value: 9 }\n  - { op: change, path: /service }\n  - { op: remove, path: /service/nothing }\n  - { op: add, path: /service/nothing/below, value: 1 }\n  - { op: test, path: /taskDefinition/cpu, value: \"1\" }\n";
    let run = run(&[("services/web/service.yaml", &format!("{WEB}{patches}"))]);
    let places: Vec<(&str, usize)> =
        run.problems.iter().map(|problem| (problem.code.id, problem.place().unwrap().1)).collect();
    assert_eq!(places, [("LS0301", 8), ("LS0301", 9), ("LS0301", 11)], "{:?}", run.said());
    assert!(run.desired.is_none());
}

#[test]
fn an_update_service_input_is_read_as_a_service() {
    let files = [
        (
            "services/web/taskdef.json",
            r#"{"family": "web", "containerDefinitions": [{"name": "web", "image": "x", "memory": 64}]}"#,
        ),
        ("services/web/servicedef.json", r#"{"service": "web-live", "desiredCount": "3", "propagateTags": ""}"#),
    ];
    let run = run(&files);
    assert!(run.problems.iter().all(|problem| problem.severity == Severity::Note), "{:?}", run.said());
    assert_eq!(run.desired.unwrap().service, json!({"serviceName": "web-live", "desiredCount": 3}));
}

#[test]
fn a_trace_names_the_layer_and_line_of_every_value() {
    let config = CONFIG.replace(
        "environments:",
        "defaults: { vars: { level: debug }, taskDefinition: { networkMode: bridge, cpu: \"128\" } }\nenvironments:",
    );
    let web = WEB.replace("LEVEL: info", "LEVEL: \"${{ vars.level }}\", GONE: x");
    let overlay = "vars: { level: warn }\ntaskDefinition:\n  containerDefinitions: { web: { environment: { GONE: null } } }\npatches: [{ op: replace, path: /service/desiredCount, value: 5 }]\n";
    let run = run(&[
        ("lockstep.yaml", &config),
        ("services/web/service.yaml", &web),
        ("services/web/prod.yaml", overlay),
        ("services/web/prod.pins.yaml", "web: 1.10\n"),
    ]);
    assert_eq!(run.said(), Vec::<String>::new());
    let environment = &run.repository.environments["prod"];
    let traced =
        trace(&run.repository, environment, run.service.as_ref().unwrap(), run.rendered.as_ref().unwrap(), None);
    let lines: Vec<String> = traced
        .iter()
        .map(|one| {
            let place = |span: &lockstep_manifests::source::Span| {
                format!("{}:{}", span.file.path.rsplit('/').next().unwrap(), span.line_column().0)
            };
            let mut line = format!("{} = {} | {} {}", one.path, one.value, one.from.layer, place(&one.from.span));
            for (name, span) in &one.variables {
                line.push_str(&format!(" | vars.{name} {}", place(span)));
            }
            for over in &one.overrode {
                line.push_str(&format!(" | over {} {} {}", over.written, over.layer, place(&over.span)));
            }
            line
        })
        .collect();
    assert_eq!(
        lines,
        [
            "taskDefinition.family = \"web\" | the directory's name service.yaml:1",
            "taskDefinition.networkMode = \"bridge\" | defaults lockstep.yaml:2",
            "taskDefinition.containerDefinitions[web].image = \"x:1.10\" | pins of prod prod.pins.yaml:1 | over \"x\" service service.yaml:4",
            "taskDefinition.containerDefinitions[web].memory = 64 | service service.yaml:4",
            "taskDefinition.containerDefinitions[web].portMappings[8080/tcp] = {} | service service.yaml:4",
            "taskDefinition.containerDefinitions[web].environment[LEVEL].value = \"warn\" | service service.yaml:4 | vars.level prod.yaml:1",
            "taskDefinition.cpu = \"512\" | service service.yaml:2 | over \"128\" defaults lockstep.yaml:2",
            "service.serviceName = \"web\" | the directory's name service.yaml:1",
            "service.desiredCount = 5 | patch prod.yaml:4 | over 2 service service.yaml:5",
        ]
    );
}

proptest! {
    /// Laying nothing over a service changes nothing: an empty overlay, an empty component, empty defaults.
    #[test]
    fn layering_with_nothing_is_the_identity(
        environment in prop::collection::btree_map("[A-Z]{1,5}", "[a-z0-9 ]{0,6}", 0..5),
        labels in prop::collection::btree_map("[a-z]{1,5}", "[a-z0-9]{0,6}", 0..4),
        count in 0..9i64,
        ports in prop::collection::btree_set(1u16..9999, 0..4),
    ) {
        let ports: serde_json::Map<String, Value> = ports.iter().map(|port| (port.to_string(), json!({}))).collect();
        let web = json!({"taskDefinition": {"containerDefinitions": {"web": {"image": "x", "memory": 64, "environment": environment, "dockerLabels": labels, "portMappings": ports}}}, "service": {"desiredCount": count}});
        let plain = run(&[("services/web/service.yaml", &web.to_string())]);
        let mut layered = web.clone();
        layered["components"] = json!(["nothing"]);
        let config = CONFIG.replace("environments:", "defaults: { taskDefinition: {}, service: {} }\nenvironments:");
        let layered = run(&[
            ("lockstep.yaml", &config),
            ("components/nothing.yaml", "taskDefinition: { containerDefinitions: {} }\nservice: {}\n"),
            ("services/web/service.yaml", &layered.to_string()),
            ("services/web/prod.yaml", "taskDefinition: { containerDefinitions: { web: { environment: {} } } }\nservice: {}\n"),
        ]);
        prop_assert_eq!(plain.said(), layered.said());
        // An empty map that was laid over is an empty list, and as absent everywhere.
        let strip = |desired: Option<Desired>| {
            let mut value = desired.unwrap().task_definition;
            let container = value["containerDefinitions"][0].as_object_mut().unwrap();
            container.retain(|_, member| member != &json!([]) && member != &json!({}));
            value
        };
        prop_assert_eq!(strip(plain.desired), strip(layered.desired));
    }
}

// C3: tags of AWS's own cannot be set; in what AWS answered they are as its other members.
#[test]
fn tags_of_aws_are_refused_and_dropped_from_answers() {
    use lockstep_manifests::{
        definition::{Side, read},
        source::SourceFile,
    };
    let said = |text: &str| {
        let mut problems = Vec::new();
        let found = read(&SourceFile::new("taskdef.json", text), Side::Declared, &mut problems);
        let said: Vec<String> = problems
            .iter()
            .map(|problem| format!("{:?} {} {}", problem.severity, problem.code.id, problem.message))
            .collect();
        (found.map(|definition| definition.value["tags"].clone()), said)
    };
    let definition = |more: &str, tags: &str| {
        format!(
            r#"{{"family": "web", {more} "containerDefinitions": [{{"name": "web", "image": "x"}}], "tags": {tags}}}"#
        )
    };
    let list = r#"[{"key": "aws:cloudformation:stack-name", "value": "s"}, {"key": "team", "value": "shop"}]"#;
    let refused = "the tag `aws:cloudformation:stack-name` cannot be set: names that begin with `aws:` are AWS's own";
    assert_eq!(said(&definition("", list)), (None, vec![format!("Error LS0104 {refused}")]));
    let (tags, notes) = said(&definition("\"revision\": 7,", list));
    assert_eq!(tags, Some(json!([{"key": "team", "value": "shop"}])));
    let dropped = "the tag `aws:cloudformation:stack-name` is AWS's own, not part of what is declared; it was dropped";
    let revision = "`revision` is part of what AWS answers, not of what is declared; it was dropped";
    assert_eq!(notes, [format!("Note LS0401 {revision}"), format!("Note LS0401 {dropped}")]);
    // In a layer, in the keyed form, and in any case.
    let layer = WEB.replace("service: {", "service: { tags: { AWS:x: y },");
    let mut problems = Vec::new();
    let tree = MemoryTree::new([("lockstep.yaml", CONFIG), ("services/web/service.yaml", layer.as_str())]);
    let repository = Repository::load(&tree, &mut problems);
    Service::load(&repository, &repository.services[0], &tree, &mut problems);
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code.id).collect();
    assert_eq!(codes, ["LS0104"], "{problems:#?}");
}
