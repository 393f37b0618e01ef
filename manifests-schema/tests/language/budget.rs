//! What a repository may become: counted before it is built, by example and by property.

use super::{CONFIG, said};
use lockstep_manifests::{
    Desired, Rendered, Repository, Service,
    budget::{self, Weight},
    render,
    tree::MemoryTree,
};
use proptest::prelude::*;

const WEB: &str = "taskDefinition:
  cpu: \"512\"
  containerDefinitions:
    web:
      image: registry.example/web
      memory: 64
      portMappings: { 8080: {} }
      environment:
        LEVEL: info
        OTHER: x
service: { desiredCount: 2 }
";

/// A repository of one service, rendered while it is counted: what was said, what was counted, and what came of it.
fn counted(files: &[(&str, &str)]) -> (Vec<String>, Weight, Option<(Rendered, Desired)>) {
    let mut all = vec![("lockstep.yaml", CONFIG)];
    all.retain(|(path, _)| !files.iter().any(|(other, _)| other == path));
    all.extend(files);
    let tree = MemoryTree::new(all);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    let mut meter = render::meter();
    let mut found = None;
    if let (Some(directory), Some(environment)) = (repository.services.first(), repository.environments.get("prod")) {
        let service = Service::load(&repository, directory, &tree, &mut problems);
        found = render::render_offline(&repository, environment, &service, &mut meter, &mut problems);
    }
    (said(&problems), meter.used(), found)
}

// H4: small files that become everything: counted before anything is built, and refused at the line that does it.
#[test]
fn what_a_service_becomes_is_counted_before_it_is_built() {
    let copies: String =
        (0..20).map(|at| format!("  - {{ op: copy, from: /service, path: /service/x{at} }}\n")).collect();
    let (said, used, found) = counted(&[("services/web/service.yaml", &format!("{WEB}patches:\n{copies}"))]);
    assert_eq!(
        said,
        ["LS0005 services/web/service.yaml:26:39 with this operation the service becomes more than 20000 values"]
    );
    assert!(found.is_none() && used.nodes < 60_000, "{used:?}");

    let many: String = (0..15_000).map(|at| format!("        V{at}: \"${{{{ vars.big }}}}\"\n")).collect();
    let text = format!(
        "vars: {{ big: {} }}\n{}",
        "x".repeat(500_000),
        WEB.replace("      environment:", &format!("      environment:\n{many}#"))
    );
    let (said, _, found) = counted(&[("services/web/service.yaml", &text)]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("becomes more than"), "{said:?}");
    assert!(found.is_none());

    let twice = format!(
        "vars: {{ big: {} }}\n{}",
        "x".repeat(300_000),
        WEB.replace("\"512\"", "\"${{ vars.big }}${{ vars.big }}${{ vars.big }}${{ vars.big }}\"")
    );
    let (said, used, _) = counted(&[("services/web/service.yaml", &twice)]);
    assert_eq!(
        said,
        ["LS0005 services/web/service.yaml:3:8 with `vars.big` the service becomes more than 1024 KiB of text"]
    );
    assert!(used.bytes < 2_000_000, "{used:?}");

    let component =
        format!("taskDefinition:\n  containerDefinitions:\n    web:\n      command: [{}]\n", "x,".repeat(20_001));
    let with_component = format!("components: [large]\n{WEB}");
    let (said, _, _) =
        counted(&[("services/web/service.yaml", &with_component), ("components/large.yaml", &component)]);
    assert_eq!(
        said,
        ["LS0005 components/large.yaml:2:3 with component large the service becomes more than 20000 values in `prod`"]
    );
}

// H4: what patches nest, too: what is moved into itself over and over ends the program when it is taken apart.
#[test]
fn patches_do_not_nest_without_end() {
    let adds: String = (0..100)
        .map(|at| format!("  - {{ op: add, path: \"/service/tags{}\", value: {{ a: {{}} }} }}\n", "/a".repeat(at)))
        .collect();
    let (said, _, _) = counted(&[("services/web/service.yaml", &format!("{WEB}patches:\n{adds}"))]);
    assert!(said[0].contains("with this operation values nest more than 64 levels deep"), "{said:?}");
}

// H4: environments that inherit from each other have everything as often as there are environments.
#[test]
fn what_environments_inherit_is_counted() {
    let vars: String = (0..9_000).map(|at| format!("v{at}: 1, ")).collect();
    let mut config = format!(
        "version: 1\nenvironments:\n  e0: {{ account: \"111111111111\", region: r, cluster: c, vars: {{ {vars} }} }}\n"
    );
    for at in 1..400 {
        config += &format!("  e{at}: {{ inherits: e0 }}\n");
    }
    let (said, _, _) = counted(&[("lockstep.yaml", &config)]);
    assert_eq!(
        said,
        ["LS0005 lockstep.yaml:58:3 with what `e55` inherits, the environments become more than 500000 values"]
    );
    let mut chain =
        "version: 1\nenvironments:\n  e0: { account: \"111111111111\", region: r, cluster: c }\n".to_owned();
    for at in 1..40 {
        chain += &format!("  e{at}: {{ inherits: e{} }}\n", at - 1);
    }
    let (said, _, _) = counted(&[("lockstep.yaml", &chain)]);
    assert_eq!(said.len(), 7, "{said:?}");
    assert!(said[0].ends_with("`inherits` leads over more than 32 environments"), "{said:?}");
    let many: String =
        (0..1_001).map(|at| format!("  e{at}: {{ account: \"111111111111\", region: r, cluster: c }}\n")).collect();
    let (said, _, _) = counted(&[("lockstep.yaml", &format!("version: 1\nenvironments:\n{many}"))]);
    assert_eq!(said, ["LS0005 lockstep.yaml:1003:3 1001 environments are more than the limit of 1000"]);
}

// H6: what helps a person must not cost more than the person has time.
#[test]
fn many_mistakes_are_told_cheaply() {
    let problems_of = |text: &str| {
        let tree = MemoryTree::new([("lockstep.yaml", CONFIG), ("services/web/service.yaml", text)]);
        let mut problems = Vec::new();
        let repository = Repository::load(&tree, &mut problems);
        let service = Service::load(&repository, &repository.services[0], &tree, &mut problems);
        let _ = render::render(&repository, &repository.environments["prod"], &service, &mut problems);
        (problems.len(), problems.iter().filter(|problem| problem.hint.is_some()).count())
    };
    let set: String = (0..4_000).map(|at| format!("  variable{at}: 1\n")).collect();
    let used: String = (0..2_500).map(|at| format!("        V{at}: \"${{{{ vars.varable{at} }}}}\"\n")).collect();
    let text = format!("vars:\n{set}{}", WEB.replace("      environment:", &format!("      environment:\n{used}#")));
    assert_eq!(problems_of(&text), (2_500, 50));
    let unknown: String = (0..45_000).map(|at| format!("  u{at}: 1\n")).collect();
    let (all, with_suggestion) = problems_of(&WEB.replace("  cpu:", &format!("{unknown}  cpu:")));
    assert_eq!(all, 45_000);
    assert!(with_suggestion <= 50, "{with_suggestion}");
}

// E5: numbers beyond 64 bits.
#[test]
fn numbers_beyond_64_bits_are_text_where_text_is_asked_and_too_large_elsewhere() {
    let text = WEB.replace("LEVEL: info", "LEVEL: 123456789012345678901234567890");
    let (said, _, found) = counted(&[
        ("services/web/service.yaml", &text),
        ("services/web/prod.pins.yaml", "web: 20241130201401123456\n"),
    ]);
    assert_eq!(said, Vec::<String>::new());
    let desired = found.unwrap().1;
    let container = &desired.task_definition["containerDefinitions"][0];
    assert_eq!(container["environment"][0]["value"], "123456789012345678901234567890");
    assert!(container["image"].as_str().unwrap().ends_with(":20241130201401123456"));
    let text = WEB.replace("desiredCount: 2", "desiredCount: 99999999999999999999");
    let (said, _, _) = counted(&[("services/web/service.yaml", &text)]);
    assert_eq!(
        said,
        [
            "LS0102 services/web/service.yaml:11:26 `desiredCount` is `99999999999999999999`, more than the largest that ECS takes (2147483647)"
        ]
    );
    for (value, message) in [
        (
            "99999999999999999999",
            "`stopAfterFailures` is `99999999999999999999`, more than the largest number there is room for (18446744073709551615)",
        ),
        ("-1", "`stopAfterFailures` must be a whole number; 0 is no limit, not `-1`"),
    ] {
        let config = CONFIG.replace("cluster: prod", &format!("cluster: prod, sync: {{ stopAfterFailures: {value} }}"));
        let (said, _, _) = counted(&[("lockstep.yaml", &config), ("services/web/service.yaml", WEB)]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].ends_with(message), "{said:?}");
    }
}

/// What a hostile service is made of; each alone is a few bytes.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..600usize, 1..600usize).prop_map(|(size, times)| format!(
            "taskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, command: &a [{}], entryPoint: *a }}, b: {{ image: i, links: [{}] }} }} }}\nservice: {{}}\nvars: {{ lists: [{}] }}\n",
            "x,".repeat(size),
            "x,".repeat(times),
            "*a,".repeat(times.min(20))
        )),
        (1..30usize, 1..900usize).prop_map(|(times, size)| format!(
            "taskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, command: [{}] }} }} }}\nservice: {{}}\npatches:\n{}",
            "x,".repeat(size),
            (0..times)
                .map(|at| format!("  - {{ op: copy, from: /taskDefinition/containerDefinitions/web, path: /taskDefinition/containerDefinitions/c{at} }}\n"))
                .collect::<String>()
        )),
        (1..40_000usize, 1..100usize).prop_map(|(size, times)| format!(
            "vars: {{ big: {} }}\ntaskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, command: [{}] }} }} }}\nservice: {{}}\n",
            "x".repeat(size),
            "\"${{ vars.big }}\",".repeat(times)
        )),
        (1..60_000usize, 1..40usize).prop_map(|(size, times)| format!(
            "vars: {{ big: {} }}\ntaskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, hostname: \"{}\" }} }} }}\nservice: {{}}\n",
            "x".repeat(size),
            "${{ vars.big }}".repeat(times)
        )),
        (1..600usize, 1..60usize).prop_map(|(size, times)| format!(
            "vars: {{ big: [{}] }}\ntaskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, command: [{}] }} }} }}\nservice: {{}}\n",
            "x,".repeat(size),
            "\"${{ vars.big }}\",".repeat(times)
        )),
        (1..40usize, "/(service|taskDefinition|service/a|service/a/a)", "/service/[a-c]{1}(/[a-c])?").prop_map(
            |(times, from, to)| format!(
                "taskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, command: [a, b, c, d] }} }} }}\nservice: {{ tags: {{ a: b }} }}\npatches:\n{}",
                (0..times).map(|at| format!("  - {{ op: copy, from: {from}, path: {to}{at} }}\n")).collect::<String>()
            )
        ),
        (1..15_000usize).prop_map(|times| format!(
            "taskDefinition: {{ family: f, containerDefinitions: {{ web: {{ image: i, environment: {{ {} }} }} }} }}\nservice: {{}}\n",
            (0..times).map(|at| format!("V{at}: 1, ")).collect::<String>()
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    // H4: rendering never costs more than its budget, and what it costs was counted before.
    #[test]
    fn rendering_never_costs_more_than_its_budget(
        service in hostile(),
        overlay in hostile(),
        components in prop::collection::vec(hostile(), 0..3),
        is_component in any::<bool>(),
    ) {
        let component = |at: usize| format!("components/c{at}.yaml");
        let named: Vec<String> = (0..components.len()).map(|at| format!("c{at}")).collect();
        let service = if is_component { format!("components: [{}]\n{service}", named.join(", ")) } else { service };
        let mut files = vec![("services/web/service.yaml".to_owned(), service), ("services/web/prod.yaml".to_owned(), overlay)];
        files.extend(components.into_iter().enumerate().map(|(at, text)| (component(at), text)));
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let (said, used, found) = counted(&files);
        if let Some((rendered, desired)) = found {
            prop_assert!(used.fits(budget::SERVICE), "{used:?}");
            let built = rendered.weight();
            // Beside what was counted there are the roots of both definitions.
            prop_assert!(built.fits(used.and(Weight::new(3, 64))), "{built:?} of {used:?}");
            let sent = Weight::of_json(&desired.task_definition).and(Weight::of_json(&desired.service));
            prop_assert!(sent.nodes <= 2 * used.nodes && sent.bytes <= 2 * used.bytes + 4_096, "{sent:?} of {used:?}");
        } else {
            prop_assert!(!said.is_empty());
        }
    }
}
