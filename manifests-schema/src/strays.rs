//! What is below `services/` and `components/`, and is not read: absence is never taken for intent. An entry that cannot
//! be read, or that looks like a manifest by another case or suffix, is an error at its place. Such errors do not stop
//! what can be read; they withhold pruning.

use crate::{
    codes,
    diagnostic::Diagnostic,
    listing::{is_hidden, makes_a_service},
    name::is_name,
    repository::{CONFIG, Repository, ServiceDirectory, component_name},
    source::{SourceFile, Span},
    tree::{FileEntry, Tree},
};
use std::collections::BTreeSet;

/// A service's own files, less their suffix.
const STEMS: [&str; 3] = ["service", "taskdef", "servicedef"];
/// Suffixes of data and templates. A file with one of them and a manifest's name is meant as a manifest.
const OTHER_SUFFIXES: [&str; 15] = [
    "yaml", "yml", "json", "jsonc", "json5", "jsonnet", "toml", "tmpl", "tpl", "gotmpl", "j2", "jinja", "template",
    "erb", "dist",
];

/// Everything that is not read and should have been, less the files in services' own directories, which
/// [`in_service`] looks at. `is_used` answers whether some service or component names a file.
pub fn find(repository: &Repository, tree: &dyn Tree, is_used: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut other_case: BTreeSet<&str> = BTreeSet::new();
    let services: BTreeSet<&str> = repository.services.iter().map(|service| service.path.as_str()).collect();
    for entry in tree.files() {
        let top = entry.path.split('/').next().unwrap_or_default();
        match ["services", "components"].into_iter().find(|ours| top.eq_ignore_ascii_case(ours)) {
            Some(ours) if ours != top => {
                if other_case.insert(top) {
                    let message = format!("`{top}/` is not read: the directory is called `{ours}/`");
                    problems.push(stray(&format!("{top}/"), message).hint("rename it, or move it elsewhere"));
                }
            }
            Some(ours) if ours == entry.path && entry.is_regular() => {
                problems.push(stray(&entry.path, format!("`{ours}` must be a directory")));
            }
            Some(_) if !entry.is_regular() => {
                let message = format!("`{}` {}", entry.path, entry.kind.refusal().unwrap_or_default());
                problems.push(Diagnostic::error(codes::UNREADABLE, &place(&entry.path), message));
            }
            Some("services") => problems.extend(in_services(entry, repository, tree, &services, is_used)),
            Some(_) => problems.extend(in_components(entry, tree, is_used)),
            None => problems.extend(at_root(entry)),
        }
    }
    problems
}

/// What looks like a manifest in a service's own directory, and is none.
pub(crate) fn in_service(
    directory: &ServiceDirectory,
    names: &[String],
    repository: &Repository,
    read: &[(String, String)],
) -> Vec<Diagnostic> {
    let siblings: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut problems = Vec::new();
    for name in names {
        let path = format!("{}/{name}", directory.path);
        // Other YAML files that nothing reads are told of with the service.
        if name.ends_with(".yaml") || name.ends_with(".yml") || read.iter().any(|(read, _)| *read == path) {
            continue;
        }
        if let Some(meant) = meant_as(name, repository, &siblings, true) {
            problems.push(looks_like(&path, &meant));
        }
    }
    problems
}

fn in_services(
    entry: &FileEntry,
    repository: &Repository,
    tree: &dyn Tree,
    services: &BTreeSet<&str>,
    is_used: &dyn Fn(&str) -> bool,
) -> Option<Diagnostic> {
    let path = entry.path.as_str();
    let (directory, file) = path.rsplit_once('/')?;
    if directory.split('/').any(is_hidden) {
        let message = format!("`{directory}` declares a service, but hidden directories are not read");
        let hint = "take the dot off its name, or move it out of services/";
        return makes_a_service(file).then(|| stray(path, message).hint(hint));
    }
    if services.contains(directory) || is_used(path) {
        return None;
    }
    if directory == "services" {
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let siblings = [];
        let is_data = crate::parse::is_manifest(file) || meant_as(file, repository, &siblings, false).is_some();
        let message = format!("`{path}` is not read: each service is a directory of its own");
        return is_data.then(|| stray(path, message).hint(format!("move it to services/{stem}/")));
    }
    if makes_a_service(file) {
        let name = directory.rsplit('/').next().unwrap_or(directory);
        let message = format!("the directory's name `{name}` is not a service name: use letters, digits, `-` and `_`");
        return (!is_name(name)).then(|| Diagnostic::error(codes::BAD_NAME, &place(path), message));
    }
    let siblings: Vec<&str> = tree
        .below(directory)
        .iter()
        .filter_map(|other| other.path.get(directory.len() + 1..))
        .filter(|name| !name.contains('/'))
        .collect();
    if modifies(file, repository) {
        let message = format!("`{path}` modifies a service, but its directory has none (service.yaml or taskdef.*)");
        return Some(stray(path, message).hint("move it to the service's directory, or remove it"));
    }
    let meant = meant_as(file, repository, &siblings, false).or_else(|| nearly(file, &siblings));
    meant.map(|meant| looks_like(path, &meant))
}

/// The manifest that a file's name is a slip of, in a directory without one: a letter too many or too few, or one that
/// only looks the same.
fn nearly(name: &str, siblings: &[&str]) -> Option<String> {
    let plain: String = name.to_lowercase().chars().filter(char::is_ascii).collect();
    let (stem, suffix) = plain.rsplit_once('.')?;
    let is_near = |meant: &&&str| strsim::osa_distance(meant, stem) <= 2;
    let meant = STEMS.iter().find(is_near).filter(|_| matches!(suffix, "yaml" | "yml" | "json"))?;
    let manifest = format!("{meant}.{}", if suffix == "json" && !meant.ends_with("def") { "yaml" } else { suffix });
    (!siblings.contains(&manifest.as_str())).then_some(manifest)
}

fn in_components(entry: &FileEntry, tree: &dyn Tree, is_used: &dyn Fn(&str) -> bool) -> Option<Diagnostic> {
    let path = entry.path.as_str();
    if path.split('/').any(is_hidden) {
        return None;
    }
    if let Some(name) = component_name(path) {
        let other = format!("components/{name}.yaml");
        let message = format!("the component `{name}` is in `{other}`, too");
        let is_second = path.ends_with(".yml") && tree.find(&other).is_some();
        return is_second.then(|| Diagnostic::error(codes::TWO_PLACES, &place(path), message).hint("keep one of them"));
    }
    let lower = path.to_lowercase();
    let at = ["yaml", "yml", "json"].iter().find_map(|suffix| {
        let at = lower.rfind(&format!(".{suffix}"))?;
        let after = &lower[at + suffix.len() + 1..];
        (after.is_empty() || after.starts_with(['.', '~', ' ', '-', '_', '#'])).then_some(at)
    });
    let stem = path.get(..at?)?;
    let is_beside = ["yaml", "yml"].iter().any(|suffix| tree.find(&format!("{stem}.{suffix}")).is_some());
    // A copy of another case is none: which of the two is meant?
    let is_case = [".yaml", ".yml"].iter().any(|suffix| lower.ends_with(suffix));
    let is_silent = is_used(path) || (is_beside && !is_case);
    (!is_silent).then(|| looks_like(path, &format!("{}.yaml", stem.rsplit('/').next().unwrap_or(stem))))
}

fn at_root(entry: &FileEntry) -> Option<Diagnostic> {
    let lower = entry.path.to_lowercase();
    let is_config = matches!(lower.as_str(), "lockstep.yaml" | "lockstep.yml" | "lockstep.json");
    (is_config && entry.path != CONFIG).then(|| looks_like(&entry.path, CONFIG))
}

/// Whether a file of this name is an overlay or a pins file.
fn modifies(name: &str, repository: &Repository) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    stem.is_some_and(|stem| stem.ends_with(".pins") || repository.environments.contains_key(stem))
}

/// The manifest that a file's name is near to. What stands beside the manifest itself is a copy.
fn meant_as(name: &str, repository: &Repository, siblings: &[&str], is_service: bool) -> Option<String> {
    let lower = name.to_lowercase();
    let environments = repository.environments.keys();
    let stems = STEMS.iter().map(|stem| ((*stem).to_owned(), true));
    let modifying = environments.flat_map(|name| [(format!("{name}.pins"), true), (name.clone(), is_service)]);
    for (stem, any_suffix) in stems.chain(modifying) {
        let suffixes: &[&str] = if stem.ends_with("def") { &["yaml", "yml", "json"] } else { &["yaml", "yml"] };
        let manifests: Vec<String> = suffixes.iter().map(|suffix| format!("{stem}.{suffix}")).collect();
        if manifests.iter().any(|manifest| manifest == name) {
            // `servicedef.json` where there is no service.
            return (stem == "servicedef" && !is_service).then(|| "service.yaml".to_owned());
        }
        if let Some(manifest) = manifests.iter().find(|manifest| manifest.to_lowercase() == lower) {
            return Some(manifest.clone());
        }
        let Some(rest) = lower.strip_prefix(&stem.to_lowercase()) else { continue };
        let is_copy = suffixes.iter().any(|suffix| {
            let after = rest.strip_prefix('.').and_then(|rest| rest.strip_prefix(suffix));
            after.is_some_and(|after| after.starts_with(['.', '~', ' ', '-', '_', '#']))
        });
        let has_suffix = || rest.strip_prefix('.').is_some_and(|rest| OTHER_SUFFIXES.contains(&rest));
        if (is_copy || (any_suffix && has_suffix()))
            && !manifests.iter().any(|manifest| siblings.contains(&manifest.as_str()))
        {
            return manifests.into_iter().next();
        }
    }
    None
}

fn looks_like(path: &str, meant: &str) -> Diagnostic {
    let name = path.rsplit('/').next().unwrap_or(path);
    let message = format!("`{name}` is not read, but it looks like `{meant}`");
    stray(path, message).hint("rename it, or move it elsewhere")
}

fn stray(path: &str, message: String) -> Diagnostic {
    Diagnostic::error(codes::STRAY, &place(path), message)
}

fn place(path: &str) -> Span {
    Span::of_file(&SourceFile::new(path, ""))
}

#[cfg(test)]
mod tests;
