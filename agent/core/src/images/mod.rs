//! New images: which of a registry's tags a policy picks, whether a pin is to be moved, whether a person holds it, and
//! what the commit says. The registry is compared with Git, never with what runs.

mod choose;
mod ecr;
mod hold;
mod labels;
mod message;
mod reference;

pub use choose::{Candidate, Decision, Judged, Ranked, Rule, Verified, decide, judge};
pub use ecr::EcrRegistry;
pub use hold::{Held, PinChange, held_by};
pub use labels::Labels;
pub use message::{Bump, BumpMessage, Template, TemplateError, is_bump, release_message, releases, trailer_of};
pub use reference::ImageReference;

use lockstep_manifests::updates::Platform;
use serde_json::Value;

/// The platform that a task definition asks for: on Fargate linux/amd64 where it says nothing, elsewhere the
/// instance's, which is not known.
pub fn platform_of(definition: &Value) -> Option<Platform> {
    let part = |name: &str| definition.pointer(&format!("/runtimePlatform/{name}")).and_then(Value::as_str);
    let fargate = definition.get("requiresCompatibilities").and_then(Value::as_array);
    let fargate = fargate.is_some_and(|list| list.iter().any(|item| item == "FARGATE"));
    let architecture = match part("cpuArchitecture") {
        Some("ARM64") => "arm64",
        Some(_) => "amd64",
        None if fargate => "amd64",
        None => return None,
    };
    let os = match part("operatingSystemFamily") {
        Some(family) if family.starts_with("WINDOWS") => "windows",
        _ => "linux",
    };
    Some(Platform { os: os.to_owned(), architecture: architecture.to_owned() })
}
