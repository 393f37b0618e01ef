use super::*;
use crate::{Service, tree::MemoryTree};

const ENVIRONMENTS: &str = "environments:
  staging: { account: \"111111111111\", region: r, cluster: staging }
  prod: { account: \"111111111111\", region: r, cluster: prod }
  prod-us: { inherits: prod, cluster: us }
";
const WEB: &str = "taskDefinition: { containerDefinitions: { web: { image: x, memory: 64 } } }\nservice: {}\n";
const ALL: [&str; 3] = ["staging", "prod", "prod-us"];

struct Read {
    members: Vec<String>,
    service: Service,
    said: Vec<String>,
}

/// A service `web` of version 1 or 2: what follows in its service.yaml, and its other files.
fn read(version: u8, rest: &str, files: &[(&str, &str)]) -> Read {
    let mut all = vec![
        ("lockstep.yaml".to_owned(), format!("version: {version}\n{ENVIRONMENTS}")),
        ("services/web/service.yaml".to_owned(), format!("{WEB}{rest}")),
    ];
    all.extend(files.iter().map(|(name, text)| (format!("services/web/{name}"), (*text).to_owned())));
    let tree = MemoryTree::new(all);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    let service = Service::load(&repository, &repository.services[0], &tree, &mut problems);
    problems.extend(service.dispute.iter().map(|dispute| dispute.problem.clone()));
    let members = repository.environments.values().filter(|it| service.is_in(it)).map(|it| it.name.clone()).collect();
    let said = problems.iter().map(|problem| {
        let (file, line, column) = problem.place().unwrap();
        let file = file.trim_start_matches("services/web/");
        let related = problem.related.iter().map(|(label, place)| {
            let (line, column) = place.line_column();
            format!(" ({label}: {}:{line}:{column})", place.file.path.trim_start_matches("services/web/"))
        });
        format!("{} {file}:{line}:{column} {}{}", problem.code.id, problem.message, related.collect::<String>())
    });
    Read { members, said: said.collect(), service }
}

// A1: an overlay and pins only modify; `environments:` alone decides.
#[test]
fn membership_is_said_in_one_place() {
    let overlay = [("prod.yaml", "service: { desiredCount: 2 }\n"), ("prod.pins.yaml", "web: \"1\"\n")];
    for (rest, expected) in [
        ("", &ALL[..]),
        ("environments: [prod]\n", &["prod", "prod-us"]),
        ("environments: { staging: {}, prod: {} }\n", &ALL),
        ("environments: { prod: {}, prod-us: null }\n", &["prod"]),
    ] {
        let found = read(2, rest, &overlay);
        assert_eq!(
            (found.members.as_slice(), found.said.as_slice()),
            (&expected.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..], &[][..]),
            "{rest:?}"
        );
    }
    let found = read(2, "environments: [prod-us]\n", &[]);
    assert_eq!((found.members.as_slice(), found.said.as_slice()), (&["prod-us".to_owned()][..], &[][..]));
}

#[test]
fn a_file_for_an_environment_that_the_service_is_not_in_names_both_places() {
    let files = [("prod.pins.yaml", "web: \"1\"\n"), ("prod.yaml", "adopt: true\n"), ("prod-us.yaml", "")];
    for version in [1, 2] {
        assert_eq!(
            read(version, "environments: [staging]\n", &files).said,
            [
                "LS0118 prod-us.yaml:1:1 this file changes `web` in `prod-us`, but the service is not in `prod-us` (not named here: service.yaml:3:1)",
                "LS0118 prod.yaml:1:1 this file changes `web` in `prod`, but the service is not in `prod` (not named here: service.yaml:3:1)",
                "LS0118 prod.pins.yaml:1:1 this file pins images of `web` in `prod`, but the service is not in `prod` (not named here: service.yaml:3:1)",
            ]
        );
    }
    let files = [("prod-us.yaml", "adopt: true\n")];
    assert_eq!(
        read(2, "environments: { prod: {}, prod-us: null }\n", &files).said,
        [
            "LS0118 prod-us.yaml:1:1 this file changes `web` in `prod-us`, but the service is not in `prod-us` (taken out here: service.yaml:3:27)"
        ]
    );
}

#[test]
fn null_takes_out_of_what_would_be_inherited_and_nothing_else() {
    for rest in ["environments:\n  staging: null\n  prod: {}\n", "environments:\n  staging:\n  prod: {}\n"] {
        let found = read(2, rest, &[]);
        assert_eq!(found.members, ["prod", "prod-us"]);
        assert_eq!(
            found.said,
            ["LS0118 service.yaml:4:3 nothing puts the service into `staging`, so that null takes it out of nothing"]
        );
    }
    assert_eq!(read(2, "environments:\n", &[]).said, ["LS0118 service.yaml:3:1 `environments` names nothing"]);
    let found = read(2, "environments: {}\n", &[]);
    assert_eq!(found.members, [""; 0]);
    assert_eq!(
        found.said,
        ["LS0118 service.yaml:3:1 `environments` is empty, so that the service is in no environment"]
    );
}

#[test]
fn a_list_holds_names_of_environments() {
    assert_eq!(
        read(2, "environments: [prod, prd, [x], prod]\n", &[]).said,
        [
            "LS0112 service.yaml:3:22 `prd` is not an environment of lockstep.yaml",
            "LS0102 service.yaml:3:27 `environments` lists names, not a list",
            "LS0003 service.yaml:3:32 `prod` is in the list twice (and here: service.yaml:3:16)",
        ]
    );
    assert_eq!(
        read(2, "environments: prod\n", &[]).said,
        ["LS0102 service.yaml:3:15 `environments` is a list of names, or a map from name to overlay, not a string"]
    );
}

/// Everything that differs between the rules: what it is by the old one, and the text that keeps it.
#[test]
fn where_the_rules_differ_the_lines_keep_what_version_1_did() {
    let empty = ("staging.yaml", "");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let cases: [Case<'_>; 6] = [
        ("", &[empty], &["staging"], "environments: [staging]\n"),
        ("", &[("prod.yaml", "")], &["prod", "prod-us"], "environments: [prod]\n"),
        ("environments: { prod: {} }\n", &[empty], &ALL, "environments: { prod: {}, staging: {} }\n"),
        (
            "environments: { prod-us: null }\n",
            &[],
            &["staging", "prod"],
            "environments: { prod-us: null, staging: {}, prod: {} }\n",
        ),
        ("environments: {}\n", &[], &ALL, "environments: { staging: {}, prod: {} }\n"),
        ("environments:\n", &[empty], &["staging"], "environments: [staging]\n"),
    ];
    for (rest, files, members, fixed) in cases {
        let found = read(1, rest, files);
        assert_eq!(found.members, members, "{rest:?}");
        let dispute = found.service.dispute.expect(rest);
        assert!(dispute.before.iter().map(String::as_str).eq({
            let mut sorted = members.to_vec();
            sorted.sort_unstable();
            sorted
        }));
        let text = fix::fix(&format!("{WEB}{rest}"), &dispute).unwrap();
        assert_eq!(text, format!("{WEB}{fixed}"));
        let rest = text.strip_prefix(WEB).unwrap();
        for version in [1, 2] {
            let after = read(version, rest, files);
            assert_eq!(after.members, members, "{rest:?} by version {version}");
            assert!(after.service.dispute.is_none(), "{rest:?} by version {version}");
        }
    }
    let found = read(1, "", &[("prod.yaml", "")]);
    assert_eq!(
        found.said,
        [
            "LS0118 prod.yaml:1:1 an overlay no longer decides where a service is: with version 1 this overlay alone decided that it is in prod and prod-us; by `environments` of service.yaml it is in prod, prod-us and staging"
        ]
    );
    assert_eq!(
        found.service.dispute.unwrap().problem.hint.unwrap(),
        "to keep what version 1 did, add `environments: [prod]` to services/web/service.yaml; `lockstep validate --fix` writes it. Until then nothing is created or removed for this service"
    );
}

#[test]
fn where_the_rules_agree_version_1_says_nothing() {
    let all = [("staging.yaml", ""), ("prod.yaml", "")];
    for (rest, files) in [
        ("", &[][..]),
        ("", &all),
        ("environments: { staging: {}, prod: {} }\n", &all),
        ("environments: [staging, prod]\n", &all),
        ("environments: { prod: {}, prod-us: null }\n", &[]),
    ] {
        let found = read(1, rest, files);
        assert_eq!(found.said, Vec::<String>::new(), "{rest:?}");
        assert!(found.service.dispute.is_none());
    }
}

proptest::proptest! {
    /// Whatever is written: where the rules differ, the lines make both give what version 1 gave.
    #[test]
    fn the_lines_always_keep_the_membership(
        named in proptest::option::of(proptest::collection::btree_map(0..3_usize, proptest::bool::ANY, 0..3)),
        overlays in proptest::collection::btree_set(0..3_usize, 0..3),
    ) {
        let rest = named.map_or(String::new(), |named| {
            let entries: Vec<String> = named
                .iter()
                .map(|(at, is_in)| format!("{}: {}", ALL[*at], if *is_in { "{}" } else { "null" }))
                .collect();
            format!("environments: {{ {} }}\n", entries.join(", ")).replace("{  }", "{}")
        });
        let names: Vec<String> = overlays.iter().map(|at| format!("{}.yaml", ALL[*at])).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "adopt: true\n")).collect();
        let found = read(1, &rest, &files);
        if let Some(dispute) = &found.service.dispute {
            let text = fix::fix(&format!("{WEB}{rest}"), dispute).unwrap();
            let rest = text.strip_prefix(WEB).unwrap();
            for version in [1, 2] {
                proptest::prop_assert_eq!(&read(version, rest, &files).members, &found.members);
            }
        } else {
            proptest::prop_assert_eq!(&read(2, &rest, &files).members, &found.members);
        }
    }
}
