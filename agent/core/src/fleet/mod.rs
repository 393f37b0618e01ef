//! What concerns several services: how many roll out at one time, what is removed, what people are told once of many,
//! and how an ordered sync ends.

pub mod brake;
pub mod condition;
pub mod ending;
pub mod orphans;
pub mod prune;

use crate::report::{Reason, ServicePlan, Verdict, Withheld};
use lockstep_manifests::Mode;

/// What withholds writes to an environment as a whole.
pub fn withheld(mode: Mode, valid: bool) -> Vec<Withheld> {
    let mut withheld = Vec::new();
    let mut say = |reason, text: &str| withheld.push(Withheld { reason, text: text.to_owned(), changes: Vec::new() });
    if mode == Mode::Observe {
        say(Reason::Observe, "the environment is observed only (sync.mode: observe)");
    }
    if !valid {
        say(Reason::Invalid, "lockstep.yaml or a component has errors; nothing is written");
    }
    withheld
}

/// Whether a change of a service is on its way, or failed.
pub fn is_undeployed(plan: &ServicePlan) -> bool {
    matches!(plan.verdict, Some(Verdict::Pending | Verdict::Progressing | Verdict::Stalled | Verdict::Rejected))
}

/// Whether something of a service moves by itself, so that the next round should come soon.
pub fn is_in_flight(plan: &ServicePlan, may_write: bool) -> bool {
    let moves = matches!(plan.verdict, Some(Verdict::Progressing | Verdict::Pending | Verdict::Stalled));
    let by_us = may_write && !plan.is_withheld_for(Reason::Observe);
    moves && (by_us || plan.verdict == Some(Verdict::Progressing)) && !plan.is_held()
}
