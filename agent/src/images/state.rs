//! What is known of a pin, for whoever asks: the API, `status`, `images`. Values only.

use super::{
    look::{Hold, Outcome, Seen},
    watched::Watched,
};
use lockstep_core::images::{Held, ImageReference};
use lockstep_manifests::updates::WriteMode;
use serde::{Deserialize, Serialize};

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
    /// What is to be shown of a pin that was looked at.
    pub fn of(seen: &Seen) -> Self {
        let watched = &seen.watched;
        let current = watched.current();
        let hold = seen.hold.as_ref().map(HoldState::of);
        let waiting = match seen.pending() {
            Some(moved) => format!("{} is waiting", moved.tag),
            None => "nothing is waiting".to_owned(),
        };
        let (standing, mut text) = match (&seen.outcome, &hold) {
            (Outcome::Unknown(reason), _) => (Standing::Unknown, reason.clone()),
            (_, Some(hold)) => (Standing::Held, format!("{}; {waiting}", hold.text())),
            (Outcome::UpToDate { note: Some(note) }, _) => (Standing::UpToDate, note.clone()),
            (Outcome::UpToDate { note: None }, _) => (Standing::UpToDate, "what the policy picks".to_owned()),
            (Outcome::Nothing(reason), _) => (Standing::Nothing, reason.clone()),
            (Outcome::Move(moved), _) => {
                let new = ImageReference {
                    repository: current.repository.clone(),
                    tag: Some(moved.tag.clone()),
                    digest: Some(moved.digest.clone()),
                };
                let change = current.change_to(&new);
                match watched.write {
                    WriteMode::Commit => (Standing::Pending, change),
                    WriteMode::None => (Standing::Available, format!("{change}, not written (updates.write: none)")),
                }
            }
        };
        if !watched.overruled.is_empty() {
            let names = watched.overruled.join(", ");
            text.push_str(&format!(
                "; {names} reads this pin too and has another policy, which does not hold: give it a pin of its own"
            ));
        }
        Self {
            environment: watched.environment.clone(),
            service: watched.service.clone(),
            container: watched.container.clone(),
            readers: watched.readers.iter().map(|reader| reader.environment.clone()).collect(),
            file: watched.file.clone(),
            repository: current.repository.clone(),
            pin: watched.pin.clone(),
            policy: watched.policy.to_string(),
            write: watched.write,
            standing,
            picked: seen.pending().map(|moved| moved.pin.clone()),
            pushed_at: seen.pending().and_then(|moved| moved.pushed_at).map(time_text),
            hold,
            text,
        }
    }

    /// What is to be shown of a pin without asking a registry.
    pub fn unasked(watched: &Watched, held: Option<Held>) -> Self {
        let mut seen = Seen::without(watched, Outcome::Nothing(String::new()));
        seen.hold = match &watched.policy.hold {
            Some(reason) => {
                let place = watched.policy.hold_span.as_ref().map(|span| format!("{span:?}")).unwrap_or_default();
                Some(Hold::Policy { reason: reason.clone(), place })
            }
            None => held.map(Hold::History),
        };
        let mut state = Self::of(&seen);
        match &state.hold {
            Some(hold) => state.text = hold.text(),
            None => state.standing = Standing::NotAsked,
        }
        state
    }

    /// `prod/checkout/api`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.environment, self.service, self.container)
    }
}

impl HoldState {
    fn of(hold: &Hold) -> Self {
        match hold {
            Hold::Policy { reason, place } => {
                Self { by: None, commit: None, at: None, what: format!("{reason} (hold, {place})") }
            }
            Hold::History(held) => Self {
                by: Some(held.by.clone()),
                commit: Some(held.commit.clone()),
                at: Some(time_text(held.at)),
                what: held.what.clone(),
            },
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        match (&self.by, &self.commit, &self.at) {
            (Some(by), Some(commit), Some(at)) => {
                format!("held: {by} {} in {} on {at}", self.what, commit.get(..8).unwrap_or(commit))
            }
            _ => format!("held: {}", self.what),
        }
    }
}
