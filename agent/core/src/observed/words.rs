//! ECS's words for what things are and how they do, as closed lists with room for a word that nobody knows yet: such a
//! word is no outcome, and is shown as ECS writes it.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$of])* $word,)*
            /// A word that is not in this list; empty where ECS gives none.
            Other(String),
        }

        impl $name {
            /// As ECS writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$word => $text,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Other(String::new())
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($text => Self::$word,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

words! {
    /// The status of a service.
    ServiceStatus {
        /// It exists.
        Active = "ACTIVE",
        /// It was deleted, and its tasks are being stopped.
        Draining = "DRAINING",
        /// It was deleted.
        Inactive = "INACTIVE",
    }
}

words! {
    /// What an entry of a service's classic deployments is.
    DeploymentRole {
        /// What the service is to run.
        Primary = "PRIMARY",
        /// Another one that still has tasks.
        Active = "ACTIVE",
    }
}

words! {
    /// How an entry of a service's classic deployments does.
    RolloutState {
        /// Under way.
        InProgress = "IN_PROGRESS",
        /// Over, and done.
        Completed = "COMPLETED",
        /// Over, by the circuit breaker or an alarm.
        Failed = "FAILED",
    }
}

impl RolloutState {
    /// Whether it is done, or ECS says nothing of it.
    pub fn is_over(&self) -> bool {
        matches!(self.as_str(), "COMPLETED" | "")
    }
}

words! {
    /// The status of a service deployment.
    DeploymentStatus {
        /// Not begun.
        Pending = "PENDING",
        /// Under way.
        InProgress = "IN_PROGRESS",
        /// Done.
        Successful = "SUCCESSFUL",
        /// Somebody asked to stop it.
        StopRequested = "STOP_REQUESTED",
        /// Ended by somebody, by the circuit breaker without a rollback, or because a newer one took its place.
        Stopped = "STOPPED",
        /// It is to be rolled back.
        RollbackRequested = "ROLLBACK_REQUESTED",
        /// It is being rolled back.
        RollbackInProgress = "ROLLBACK_IN_PROGRESS",
        /// Rolled back.
        RollbackSuccessful = "ROLLBACK_SUCCESSFUL",
        /// Not even that.
        RollbackFailed = "ROLLBACK_FAILED",
    }
}

impl DeploymentStatus {
    /// Whether its outcome is open. A status that nobody knows yet is taken as open: it is not an outcome.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed)
    }

    /// Whether ECS is still taking it back.
    pub fn is_rolling_back(&self) -> bool {
        matches!(self, Self::RollbackRequested | Self::RollbackInProgress | Self::StopRequested)
    }
}

words! {
    /// The stage of a service deployment that shifts traffic.
    Stage {
        /// Both revisions run, to go back at once.
        BakeTime = "BAKE_TIME",
        /// The production traffic goes to the new revision, all at once or in steps.
        ProductionTrafficShift = "PRODUCTION_TRAFFIC_SHIFT",
    }
}

impl Stage {
    /// Whether there is none: a rolling deployment.
    pub fn is_none(&self) -> bool {
        self.as_str().is_empty()
    }
}

words! {
    /// What happens at the end of a pause.
    PauseEnd {
        /// The deployment continues.
        Continue = "CONTINUE",
        /// It is rolled back.
        Rollback = "ROLLBACK",
    }
}

words! {
    /// The deployment controller of a service.
    Controller {
        /// ECS itself.
        Ecs = "ECS",
        /// CodeDeploy.
        CodeDeploy = "CODE_DEPLOY",
        /// A third party, by task sets.
        External = "EXTERNAL",
    }
}

impl Controller {
    /// Whether ECS's own deployments control it. A service that names none is one of these.
    pub fn is_ecs(&self) -> bool {
        matches!(self.as_str(), "" | "ECS")
    }
}
