//! What is known of a pin, for whoever asks: the API, `status`, `images`. Values only.

use lockstep_manifests::updates::WriteMode;
use serde::{Deserialize, Serialize};

/// What is said of a pin of which there is nothing more to say.
pub const UP_TO_DATE: &str = "what the policy picks";

/// How a pin stands to its policy. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It is what the policy picks.
    UpToDate,
    /// The policy picks another image, which will be written.
    Pending,
    /// The policy picks another image, and nobody writes it.
    Available,
    /// A person holds it.
    Held,
    /// The policy picks nothing.
    Nothing,
    /// The registry could not be read, or the edit could not be made.
    Unknown,
    /// No registry was asked.
    NotAsked,
}

/// Who holds a pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldState {
    /// Who; absent where the policy says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// In which commit; absent where the policy says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When, RFC 3339; absent where the policy says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why, or what was done.
    pub what: String,
}

/// One pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageState {
    /// The environment in whose pins file it stands.
    pub environment: String,
    /// The service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The environments that read it.
    pub readers: Vec<String>,
    /// The pins file.
    pub file: String,
    /// The repository of its images.
    pub repository: String,
    /// What the pin says; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The policy.
    pub policy: String,
    /// What is done with what it picks.
    pub write: WriteMode,
    /// How it stands.
    pub standing: Standing,
    /// What would be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<String>,
    /// When that was pushed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<String>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldState>,
    /// All of it in words.
    pub text: String,
}

/// A tag and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagLine {
    /// The tag.
    pub tag: String,
    /// What it points at, where the registry's list tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When it was pushed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<String>,
    /// Whether the policy would take it.
    pub kept: bool,
    /// Whether it is the one that is picked.
    pub picked: bool,
    /// The rule that kept or dropped it.
    pub rule: String,
}

/// Seconds since the epoch as RFC 3339.
pub fn time_text(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

impl ImageState {
    /// `prod/checkout/api`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.environment, self.service, self.container)
    }
}

impl HoldState {
    /// In words.
    pub fn text(&self) -> String {
        match (&self.by, &self.commit, &self.at) {
            (Some(by), Some(commit), Some(at)) => {
                format!("held: {by} {} in {} on {at}", self.what, crate::stated::commit::short(commit))
            }
            _ => format!("held: {}", self.what),
        }
    }
}
