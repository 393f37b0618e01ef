//! The pins that policies move, from what a commit states: in which file each stands, which environments read it, and
//! which policy holds for it.

use crate::reconcile::{LoadedService, Snapshot};
use indexmap::{IndexMap, IndexSet};
use lockstep_core::{
    images::{ImageReference, platform_of},
    stated::at::At,
};
use lockstep_manifests::{
    Desired, Environment, Rendered,
    render::bind_offline,
    updates::{Platform, Policy, Strategy, WriteMode},
};
use serde_json::Value;

/// An environment that reads a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub environment: String,
    /// Its account.
    pub account: String,
    /// The image as it is rendered for it.
    pub image: ImageReference,
    /// The platform that its task definition asks for.
    pub platform: Option<Platform>,
}

/// A pin that a policy is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The environment in whose pins file it stands, or would.
    pub environment: String,
    /// The service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The pins file.
    pub file: String,
    /// What the pin says; none where there is none.
    pub pin: Option<String>,
    /// The policy.
    pub policy: Policy,
    /// What is done with what it picks.
    pub write: WriteMode,
    /// The environments that read it; the first one's policy it is.
    pub readers: Vec<Reader>,
    /// Environments that read it and have a policy of their own, which does not hold.
    pub overruled: Vec<String>,
    /// Why it is not moved, where the files say so.
    pub problem: Option<String>,
}

impl Watched {
    /// `prod/checkout/api`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.environment, self.service, self.container)
    }

    /// The image that is declared now.
    pub fn current(&self) -> &ImageReference {
        &self.readers[0].image
    }

    /// Whether its policy follows another pin.
    pub fn follows(&self, other: &Watched) -> bool {
        let Strategy::Follow { service, container } = &self.policy.strategy else { return false };
        let reader = &self.readers[0].environment;
        other.service == *service
            && other.container == *container
            && other.readers.iter().any(|it| it.environment == *reader)
    }

    /// What is written for a tag and its digest. A full reference keeps its repository.
    pub fn pin_of(&self, tag: &str, digest: &str) -> String {
        match &self.pin {
            Some(pin) if pin.contains('/') => format!("{}:{tag}@{digest}", self.current().repository),
            _ => format!("{tag}@{digest}"),
        }
    }
}

/// The image of a container, and the platform of its task, in one environment.
pub(super) fn image_of(
    rendered: &Rendered,
    environment: &Environment,
    container: &str,
) -> Option<(ImageReference, Option<Platform>)> {
    container_of(&bind_offline(rendered, environment), container)
}

fn container_of(desired: &Desired, container: &str) -> Option<(ImageReference, Option<Platform>)> {
    let containers = desired.task_definition.get("containerDefinitions")?.as_array()?;
    let found = containers.iter().find(|it| it.get("name").and_then(Value::as_str) == Some(container))?;
    let image = found.get("image").and_then(Value::as_str)?;
    Some((ImageReference::parse(image), platform_of(&desired.task_definition)))
}

struct Seen<'a> {
    environment: &'a Environment,
    policy: Option<&'a Policy>,
    reader: Reader,
    at: Option<&'a At>,
}

/// What was seen of one pin.
struct Group<'a> {
    file: String,
    pin: Option<String>,
    seen: Vec<Seen<'a>>,
}

/// All pins that policies are for, in the order of environments and services. `mine` are the environments that the
/// source brings. Whoever reads a pin counts, with a policy or without.
pub fn watched(snapshot: &Snapshot, mine: impl Fn(&str) -> bool) -> Vec<Watched> {
    let mut found: IndexMap<[String; 3], Group<'_>> = IndexMap::new();
    for environment in snapshot.repository.environments.values().filter(|environment| mine(&environment.name)) {
        for loaded in snapshot.services.iter().filter(|loaded| has_policy(loaded)) {
            let Some(rendered) = loaded.at_tip(&environment.name) else { continue };
            let at = loaded.at(&environment.name);
            let desired = bind_offline(rendered, environment);
            let pinned = rendered.pins.iter().map(|(_, pin)| &pin.container);
            let containers: IndexSet<&String> = rendered.updates.keys().chain(pinned).collect();
            for container in containers {
                let policy = rendered.updates.get(container);
                let pinned = rendered.pins.iter().find(|(_, pin)| pin.container == *container);
                let link = match (pinned, policy) {
                    (Some((link, _)), _) => link.clone(),
                    (None, Some(policy)) => {
                        new_pin_in(snapshot, environment, &loaded.directory.name, container, policy, &mine)
                    }
                    (None, None) => continue,
                };
                let Some((image, platform)) = container_of(&desired, container) else { continue };
                let file = match (pinned, rendered.pin_files.get(&link)) {
                    (Some((_, pin)), _) => pin.span.file.path.clone(),
                    (None, Some(path)) => path.clone(),
                    (None, None) => format!("{}/{link}.pins.yaml", loaded.directory.path),
                };
                let (name, account) = (environment.name.clone(), environment.account.clone());
                let reader = Reader { environment: name, account, image, platform };
                let pin = pinned.map(|(_, pin)| pin.text.clone());
                let key = [link, loaded.directory.name.clone(), container.clone()];
                let group = found.entry(key).or_insert_with(|| Group { file, pin, seen: Vec::new() });
                group.seen.push(Seen { environment, policy, reader, at });
            }
        }
    }
    found.into_iter().filter_map(|(key, group)| join(snapshot, &mine, key, group)).collect()
}

/// Whether a policy is for any pin of a service.
fn has_policy(loaded: &LoadedService) -> bool {
    loaded.environments.values().flatten().any(|rendered| !rendered.updates.is_empty())
}

/// One pin from all that was seen of it; none where no policy is for it.
fn join(
    snapshot: &Snapshot,
    mine: &impl Fn(&str) -> bool,
    [environment, service, container]: [String; 3],
    Group { file, pin, mut seen }: Group<'_>,
) -> Option<Watched> {
    // The environment whose file it is decides; where the service is not in it, the first one with a policy.
    let owner = seen.iter().position(|it| it.environment.name == environment);
    let decides =
        owner.filter(|at| seen[*at].policy.is_some()).or_else(|| seen.iter().position(|it| it.policy.is_some()))?;
    let policy = seen[decides].policy?.clone();
    let first = seen[decides].environment.name.clone();
    let loaded = snapshot.services.iter().find(|it| it.directory.name == service);
    let broken = loaded.into_iter().flat_map(|it| &it.environments).find(|(name, result)| {
        let reads = snapshot.repository.environments.get(*name).is_some_and(|it| it.chain.contains(&environment));
        result.is_err() && reads && mine(name)
    });
    let problem = if !mine(&environment) && pin.is_some() {
        Some(format!("the pin is in {environment}'s pins file, which this source does not manage"))
    } else if let Some((name, _)) = broken {
        Some(format!("the service has errors in {name}, which reads this pin"))
    } else if let Some(at) =
        seen.iter().map(|it| it.at).collect::<Option<Vec<_>>>().and_then(|all| all.first().copied())
    {
        // Whoever goes on again takes what is the newest then.
        Some(format!("the service is {}", at.text()))
    } else if owner.is_some_and(|at| seen[at].policy.is_none()) {
        Some(format!("the pin is {environment}'s, which has no policy for it: give {first} a pin of its own"))
    } else {
        None
    };
    let write = seen[decides].environment.write;
    seen[..=decides].rotate_right(1);
    let differs = |it: &&Seen<'_>| it.policy.is_some_and(|other| *other != policy);
    let overruled = seen.iter().filter(differs).map(|it| it.environment.name.clone()).collect();
    let readers = seen.into_iter().map(|it| it.reader).collect();
    Some(Watched { environment, service, container, file, pin, policy, write, readers, overruled, problem })
}

/// The environment in whose file a new pin goes: the first one that this one inherits from with the same policy and no
/// pin either, so that they go on sharing it; else this one.
fn new_pin_in(
    snapshot: &Snapshot,
    environment: &Environment,
    service: &str,
    container: &str,
    policy: &Policy,
    mine: &impl Fn(&str) -> bool,
) -> String {
    let shares = |link: &&String| {
        let loaded = snapshot.services.iter().find(|loaded| loaded.directory.name == service);
        let rendered =
            loaded.and_then(|loaded| loaded.environments.get(link.as_str())).and_then(|result| result.as_ref().ok());
        rendered.is_some_and(|rendered| {
            rendered.updates.get(container) == Some(policy)
                && rendered.pins.iter().all(|(_, pin)| pin.container != container)
        })
    };
    environment.chain.iter().filter(|link| mine(link)).find(shares).cloned().unwrap_or_else(|| environment.name.clone())
}

/// Where a container's pin of an environment stands, whether a policy is for it or not.
#[derive(Clone, Debug)]
pub struct PinPlace {
    /// The pins file.
    pub file: String,
    /// What it says now; none where there is none.
    pub pin: Option<String>,
    /// The environment that was asked for.
    pub reader: Reader,
    /// All environments that read the file's pin.
    pub readers: Vec<String>,
}

fn rendered_of<'a>(snapshot: &'a Snapshot, environment: &str, service: &str) -> Result<&'a Rendered, String> {
    let loaded = snapshot.services.iter().find(|loaded| loaded.directory.name == service);
    match loaded.and_then(|loaded| loaded.environments.get(environment)) {
        Some(Ok(rendered)) => Ok(rendered),
        Some(Err(_)) => Err(format!("{service} has errors in {environment}")),
        None => Err(format!("{service} is not in {environment}")),
    }
}

/// The containers of a service in an environment.
///
/// # Errors
/// A sentence: it is not there, or has errors.
pub fn containers_of(snapshot: &Snapshot, environment: &str, service: &str) -> Result<Vec<String>, String> {
    let rendered = rendered_of(snapshot, environment, service)?;
    let desired = bind_offline(rendered, &snapshot.repository.environments[environment]);
    let containers = desired.task_definition.get("containerDefinitions").and_then(Value::as_array);
    let names = containers.into_iter().flatten().filter_map(|it| it.get("name").and_then(Value::as_str));
    Ok(names.map(str::to_owned).collect())
}

/// Where a container's pin of an environment stands: where it is found, else in the environment's own file.
///
/// # Errors
/// A sentence: there is no such container.
pub fn reader_of(snapshot: &Snapshot, environment: &str, service: &str, container: &str) -> Result<PinPlace, String> {
    let rendered = rendered_of(snapshot, environment, service)?;
    let target = &snapshot.repository.environments[environment];
    let (image, platform) =
        image_of(rendered, target, container).ok_or_else(|| format!("{service} has no container {container}"))?;
    let pinned = rendered.pins.iter().find(|(_, pin)| pin.container == container);
    let directory =
        snapshot.services.iter().find(|it| it.directory.name == service).map(|it| it.directory.path.clone());
    let file = match (pinned, rendered.pin_files.get(environment)) {
        (Some((_, pin)), _) => pin.span.file.path.clone(),
        (None, Some(path)) => path.clone(),
        (None, None) => format!("{}/{environment}.pins.yaml", directory.unwrap_or_default()),
    };
    let account = target.account.clone();
    let pin = pinned.map(|(_, pin)| pin.text.clone());
    let loaded = snapshot.services.iter().find(|it| it.directory.name == service);
    let reads = |rendered: &Rendered| {
        rendered.pins.iter().any(|(_, pin)| pin.container == container && pin.span.file.path == file)
    };
    let readers = loaded.into_iter().flat_map(|it| &it.environments);
    let readers = readers.filter(|(_, result)| result.as_ref().is_ok_and(|rendered| reads(rendered)));
    let readers = readers.map(|(name, _)| name.clone()).collect();
    let reader = Reader { environment: environment.to_owned(), account, image, platform };
    Ok(PinPlace { file, pin, reader, readers })
}
