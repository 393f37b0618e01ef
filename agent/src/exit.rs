//! How commands end. Exit codes are part of the interface.

use lockstep_core::fleet::ending::Ending;

/// How a command ended. When several apply, the first of `2, 3, 1, 5, 6, 4, 0` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Invalid manifests.
    Invalid = 3,
    /// Differences, where they were asked for.
    Differences = 4,
    /// A deployment failed, was rolled back, or was rejected before.
    Rejected = 5,
    /// Timed out.
    TimedOut = 6,
}

impl Exit {
    /// The one that counts of two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        const ORDER: [Exit; 7] =
            [Exit::Usage, Exit::Invalid, Exit::Failed, Exit::Rejected, Exit::TimedOut, Exit::Differences, Exit::Done];
        let rank = |exit: Exit| ORDER.iter().position(|one| *one == exit).unwrap_or(ORDER.len());
        if rank(self) <= rank(other) { self } else { other }
    }
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::TimedOut => Self::TimedOut,
            Ending::Rejected => Self::Rejected,
            Ending::Failed => Self::Failed,
            Ending::Invalid => Self::Invalid,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// How it ends.
    pub exit: Exit,
    /// A sentence.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::*;

    #[test]
    fn the_gravest_counts() {
        assert_eq!(Done.or(Rejected).or(TimedOut), Rejected);
        assert_eq!(Rejected.or(Failed).or(Invalid), Invalid);
        assert_eq!(Invalid.or(Usage), Usage);
        assert_eq!(Differences.or(TimedOut), TimedOut);
    }
}
