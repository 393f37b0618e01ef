use super::*;
use crate::{
    Service,
    listing::{self, Found, Storage, What},
    tree::EntryKind,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

const CONFIG: &str = "version: 2\nenvironments:\n  prod: { account: \"111111111111\", region: r, cluster: prod }\n";
const WEB: &str = "taskDefinition: { containerDefinitions: { web: { image: x, memory: 64 } } }\nservice: {}\n";

/// Files by path, listed as a checkout and a commit are.
struct Files {
    contents: BTreeMap<Vec<u8>, String>,
    listed: Vec<FileEntry>,
}

impl Storage for BTreeMap<Vec<u8>, String> {
    type Place = Vec<u8>;

    fn entries(&mut self, directory: &Vec<u8>) -> Result<Arc<Vec<Found<Vec<u8>>>>, String> {
        let mut found: BTreeMap<&[u8], Found<Vec<u8>>> = BTreeMap::new();
        for path in self.keys().filter_map(|path| path.strip_prefix(directory.as_slice())) {
            let slash = path.iter().position(|byte| *byte == b'/');
            let (name, what) = match slash {
                Some(at) => (&path[..at], What::Directory),
                None => (path, What::Other(EntryKind::File)),
            };
            let mut place = [directory.as_slice(), name].concat();
            place.extend(slash.map(|_| b'/'));
            found.insert(name, Found { name: listing::name_of(name), what, place });
        }
        Ok(Arc::new(found.into_values().collect()))
    }

    fn id(&mut self, file: &Vec<u8>) -> String {
        String::from_utf8_lossy(file).into_owned()
    }
}

impl Files {
    fn new<'a>(files: impl IntoIterator<Item = (&'a [u8], &'a str)>) -> Self {
        let mut contents: BTreeMap<Vec<u8>, String> =
            files.into_iter().map(|(path, text)| (path.to_vec(), text.to_owned())).collect();
        contents.entry(CONFIG_PATH.to_vec()).or_insert(CONFIG.to_owned());
        let listed = listing::list(&mut contents, &Vec::new()).unwrap();
        Self { contents, listed }
    }
}

const CONFIG_PATH: &[u8] = b"lockstep.yaml";

impl Tree for Files {
    fn files(&self) -> &[FileEntry] {
        &self.listed
    }

    fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String> {
        self.contents.get(file.path.as_bytes()).map(|text| text.clone().into_bytes()).ok_or("no such file".to_owned())
    }
}

/// All problems, and the paths that were read.
fn look(files: &Files) -> (Vec<Diagnostic>, BTreeSet<String>) {
    let mut problems = Vec::new();
    let repository = Repository::load(files, &mut problems);
    let mut read: BTreeSet<String> = repository.read.iter().map(|(path, _)| path.clone()).collect();
    for directory in &repository.services {
        let service = Service::load(&repository, directory, files, &mut problems);
        read.extend(service.read.iter().map(|(path, _)| path.clone()));
        problems.extend(service.strays);
    }
    problems.extend(find(&repository, files, &|path| read.contains(path)));
    (problems, read)
}

fn said(paths: &[&[u8]]) -> Vec<String> {
    let files = Files::new(paths.iter().map(|path| (*path, if path.ends_with(b"service.yaml") { WEB } else { "{}" })));
    let say = |problem: &Diagnostic| format!("{} {}", problem.code.id, problem.message);
    look(&files).0.iter().map(say).collect()
}

// A2: what cannot be read, or looks like a manifest, is an error at its place.
#[test]
fn nothing_is_skipped_in_silence() {
    let cases: [(&[u8], &str); 21] = [
        (b"services/\xe9quipe/echo/service.yaml", "LS0001 `services/\\xe9quipe` has a name that is not UTF-8 text"),
        (b"services/echo/Service.yaml", "LS0119 `Service.yaml` is not read, but it looks like `service.yaml`"),
        (b"services/echo/service.YML", "LS0119 `service.YML` is not read, but it looks like `service.yml`"),
        (b"services/echo/TaskDef.json", "LS0119 `TaskDef.json` is not read, but it looks like `taskdef.json`"),
        (
            b"services/echo/service.yaml.tmpl",
            "LS0119 `service.yaml.tmpl` is not read, but it looks like `service.yaml`",
        ),
        (b"services/echo/service.yaml~", "LS0119 `service.yaml~` is not read, but it looks like `service.yaml`"),
        (b"services/echo/service.json", "LS0119 `service.json` is not read, but it looks like `service.yaml`"),
        (b"services/echo/taskdef.j2", "LS0119 `taskdef.j2` is not read, but it looks like `taskdef.yaml`"),
        (b"services/echo/servicedef.json", "LS0119 `servicedef.json` is not read, but it looks like `service.yaml`"),
        (
            b"services/echo/prod.pins.yaml",
            "LS0119 `services/echo/prod.pins.yaml` modifies a service, but its directory has none (service.yaml or taskdef.*)",
        ),
        (
            b"services/echo/prod.yaml",
            "LS0119 `services/echo/prod.yaml` modifies a service, but its directory has none (service.yaml or taskdef.*)",
        ),
        (b"services/echo/Prod.yaml", "LS0119 `Prod.yaml` is not read, but it looks like `prod.yaml`"),
        (b"services/echo/prod.yaml.tmpl", "LS0119 `prod.yaml.tmpl` is not read, but it looks like `prod.yaml`"),
        (b"services/echo.yaml", "LS0119 `services/echo.yaml` is not read: each service is a directory of its own"),
        (
            b"services/taskdef.json",
            "LS0119 `services/taskdef.json` is not read: each service is a directory of its own",
        ),
        (b"Services/echo/service.yaml", "LS0119 `Services/` is not read: the directory is called `services/`"),
        (
            b"services/.off/echo/service.yaml",
            "LS0119 `services/.off/echo` declares a service, but hidden directories are not read",
        ),
        (b"components/log.YAML", "LS0119 `log.YAML` is not read, but it looks like `log.yaml`"),
        (b"components/log.yaml.tmpl", "LS0119 `log.yaml.tmpl` is not read, but it looks like `log.yaml`"),
        (b"components/\xff.yaml", "LS0001 `components/\\xff.yaml` has a name that is not UTF-8 text"),
        (b"Lockstep.yaml", "LS0119 `Lockstep.yaml` is not read, but it looks like `lockstep.yaml`"),
    ];
    for (path, expected) in cases {
        assert_eq!(said(&[path]), [expected], "{}", path.escape_ascii());
    }
    assert_eq!(said(&[b"services"]), ["LS0119 `services` must be a directory"]);
    assert_eq!(
        said(&[b"services/we b/service.yaml"]),
        ["LS0110 the directory's name `we b` is not a service name: use letters, digits, `-` and `_`"]
    );
    assert_eq!(
        said(&[b"components/log.yaml", b"components/log.yml"]),
        ["LS0109 the component `log` is in `components/log.yaml`, too"]
    );
}

#[test]
fn what_the_rule_ignores_is_ignored() {
    let paths: [&[u8]; 14] = [
        b"services/web/service.yaml",
        b"services/web/service.yaml.orig",
        b"services/web/README.md",
        b"services/web/prod.md",
        b"services/web/.service.yaml.swp",
        b"services/web/config/app.yaml",
        b"services/web/Dockerfile",
        b"services/.idea/modules.xml",
        b"services/README.md",
        b"components/README.md",
        b"src/service.yaml.tmpl",
        b"docs/Service.yaml",
        b"service.yaml",
        b"\xff.yaml",
    ];
    assert_eq!(said(&paths), [""; 0]);
}

#[test]
fn a_file_that_a_service_names_is_used_whatever_its_name() {
    let service = "taskDefinition: ../shared/taskdef.prod.json\nservice: service.json\n";
    let files = Files::new([
        (&b"services/web/service.yaml"[..], service),
        (b"services/web/service.json", "{}"),
        (b"services/shared/taskdef.prod.json", "{\"containerDefinitions\": [{\"name\": \"web\", \"image\": \"x\"}]}"),
    ]);
    let problems = look(&files).0;
    assert_eq!(problems, []);
}

/// The names that people give to files, right and wrong.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let stem = prop::sample::select(vec![
        "service",
        "taskdef",
        "servicedef",
        "prod",
        "prod.pins",
        "notes",
        "Service",
        "PROD",
        ".hidden",
    ]);
    let suffix =
        prop::sample::select(vec!["", ".yaml", ".yml", ".json", ".YAML", ".yaml.tmpl", ".yaml~", ".md", ".toml"]);
    let bad = prop::bool::weighted(0.1);
    (stem, suffix, bad).prop_map(|(stem, suffix, bad)| {
        let mut name = format!("{stem}{suffix}").into_bytes();
        if bad {
            name.push(0xe9);
        }
        name
    })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let top = prop::sample::select(vec!["services", "services", "services", "components", "Services", "docs"]);
    let directory =
        prop::sample::select(vec![&b""[..], b"web/", b"web/", b"team/api/", b".off/web/", b"we b/", b"\xff/"]);
    (top, directory, name()).prop_map(|(top, directory, name)| [top.as_bytes(), b"/", directory, &name].concat())
}

/// The written rules by which an entry is ignored, said apart from the code that is tested.
fn is_ignored(path: &str, all: &BTreeSet<String>) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let (file, above) = parts.split_last().unwrap();
    let lower = file.to_lowercase();
    if !matches!(parts[0], "services" | "components") {
        return true;
    }
    let manifest = |name: &str| [".yaml", ".yml", ".json"].iter().any(|suffix| name.ends_with(suffix));
    // Hidden, unless it declares a service.
    if parts.iter().any(|part| part.starts_with('.')) {
        return !(parts[0] == "services" && makes_a_service(file)) || file.starts_with('.');
    }
    // Not a manifest by any case or suffix.
    if !lower.contains(".yaml") && !lower.contains(".yml") && !lower.ends_with(".json") && !lower.ends_with(".toml") {
        return true;
    }
    let stem = file.split(".yaml").next().unwrap_or(file);
    let stem = stem.strip_suffix(".json").or_else(|| stem.strip_suffix(".toml")).unwrap_or(stem);
    let beside = |suffixes: &[&str]| {
        let stems = [stem.to_owned(), stem.to_lowercase()];
        let mut names = stems.iter().flat_map(|stem| suffixes.iter().map(move |suffix| format!("{stem}{suffix}")));
        names.any(|name| all.contains(&format!("{}/{name}", above.join("/"))))
    };
    let is_copy = !manifest(file) || file.ends_with(".json");
    // A copy beside the file itself.
    if is_copy && !lower.ends_with(".yaml") && beside(&[".yaml", ".yml", ".json"]) {
        return true;
    }
    let known = ["service", "taskdef", "servicedef", "prod", "prod.pins"].iter().any(|known| lower.starts_with(known));
    // Outside of services, files of other names; everywhere, overlays and notes with a suffix that none has.
    let is_service = above.len() > 1
        && is_name(above.last().unwrap())
        && all.iter().any(|other| {
            other
                .rsplit_once('/')
                .is_some_and(|(directory, name)| directory == above.join("/") && makes_a_service(name))
        });
    let is_plain_overlay = lower.starts_with("prod.") && !lower.starts_with("prod.pins");
    (parts[0] == "components" && lower.ends_with(".toml"))
        || (parts[0] == "services"
            && !known
            && (!is_service || !file.ends_with(".yaml") && !file.ends_with(".yml"))
            && above.len() > 1)
        || (parts[0] == "services" && !known && above.len() == 1 && !manifest(file))
        || (parts[0] == "services"
            && is_plain_overlay
            && !is_service
            && (lower.ends_with(".json") || lower.ends_with(".toml"))
            && above.len() > 1)
        || (parts[0] == "services" && is_plain_overlay && above.len() == 1 && lower.ends_with(".toml"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Every entry of a tree is used, ignored by a written rule, or an error at its place or above it.
    #[test]
    fn every_entry_is_used_ignored_or_an_error(paths in prop::collection::vec(path(), 1..8)) {
        let text = |path: &[u8]| if path.ends_with(b"service.yaml") || path.ends_with(b"service.yml") { WEB } else { "{}" };
        let files = Files::new(paths.iter().map(|path| (path.as_slice(), text(path))));
        let (problems, read) = look(&files);
        let places: Vec<String> =
            problems.iter().filter_map(|problem| Some(problem.place()?.0.trim_end_matches('/').to_owned())).collect();
        let all: BTreeSet<String> = files.contents.keys().filter_map(|path| String::from_utf8(path.clone()).ok()).collect();
        for path in files.contents.keys() {
            let shown: Vec<String> = path.split(|byte| *byte == b'/').map(|part| listing::name_of(part).unwrap_or_else(|shown| shown)).collect();
            let shown = shown.join("/");
            let is_told = problems.iter().any(|problem| problem.message.contains(&format!("`{shown}`"))) || places.iter().any(|place| shown == *place || shown.strip_prefix(place.as_str()).is_some_and(|rest| rest.starts_with('/')));
            let is_ignored = match std::str::from_utf8(path) {
                Ok(path) => is_ignored(path, &all),
                Err(_) => !(path.starts_with(b"services/") || path.starts_with(b"components/")) || shown.split('/').any(|part| part.starts_with('.')),
            };
            prop_assert!(read.contains(&shown) || is_told || is_ignored, "{shown} is skipped in silence: {places:?}");
        }
    }
}

// A2: a slip of the name, and letters that only look the same.
#[test]
fn a_name_that_is_nearly_a_manifests_is_told() {
    let none: [&str; 0] = [];
    for (name, meant) in [
        ("servise.yaml", Some("service.yaml")),
        ("servce.yml", Some("service.yml")),
        ("servi\u{441}e.yaml", Some("service.yaml")),
        ("service.\u{200b}yaml", Some("service.yaml")),
        ("tsakdef.json", Some("taskdef.json")),
        ("notes.yaml", None),
        ("values.yaml", None),
        ("servise.md", None),
    ] {
        assert_eq!(nearly(name, &none).as_deref(), meant, "{name}");
    }
    assert_eq!(nearly("servise.yaml", &["service.yaml"]), None);
}
