//! Services that are no longer declared, over time.

use super::machine::environment;
use super::*;
use lockstep_core::{
    event::What,
    fleet::{
        orphans::{Around, Orphans},
        prune::Declared,
    },
    remedy::Remedy,
    service::{
        machine::Ground,
        orders::Orders,
        outcome::{Done, WriteFailure, WriteOutcome},
        pause::Pause,
    },
};
use lockstep_manifests::Environment;
use std::time::Duration;

const NOW: i64 = 1_800_000_000;

fn ground<'a>(environment: &'a Environment, orders: &'a Orders) -> Ground<'a> {
    Ground {
        environment,
        source: "acme",
        commit: "c0ffee",
        committed_at: NOW - 60,
        orders,
        may_write: true,
        may_adopt: false,
        not_created: BTreeSet::new(),
        paused: Reading::Missing,
        unexplained: None,
        has_history: true,
        interval: Duration::from_secs(30),
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_cluster_is_searched_at_the_start_when_something_goes_hourly_and_by_order() {
    let (prod, agent) = (environment("prune: true"), Orders::agent());
    let ordered = Orders { prune: true, ..Orders::agent() };
    let both = names(&["web", "api"]);
    let only = names(&["web"]);
    let mut orphans = Orphans::default();
    let around = |ground, declared, now| Around { ground, declared, unreadable: false, undeployed: None, now };
    let (ground, by_order) = (ground(&prod, &agent), ground(&prod, &ordered));
    assert!(orphans.wants_scan(&around(&ground, &both, NOW)));
    orphans.scanned(Some(vec!["web".into(), "old".into()]), &around(&ground, &both, NOW));
    // Each row: what is declared then, seconds later, whether by order, and whether it is searched.
    for (declared, seconds, order, scans) in [
        (&both, 1, false, false),
        (&both, 3599, false, false),
        (&both, 3600, false, true),
        (&only, 1, false, true),
        (&both, 1, true, true),
    ] {
        let ground = if order { &by_order } else { &ground };
        assert_eq!(orphans.wants_scan(&around(ground, declared, NOW + seconds)), scans, "{seconds} {order}");
    }
    // A scan that failed is tried again after five minutes, and what was found before stays.
    orphans.scanned(None, &around(&ground, &both, NOW + 3600));
    assert!(!orphans.wants_scan(&around(&ground, &both, NOW + 3600 + 299)));
    assert!(orphans.wants_scan(&around(&ground, &both, NOW + 3600 + 300)));
    assert_eq!(orphans.names(&around(&ground, &both, NOW)), ["old"]);
}

#[test]
fn only_what_carries_our_three_tags_is_ours_and_what_cannot_be_read_stays_in_sight() {
    let (prod, agent) = (environment("prune: true"), Orders::agent());
    let ground = ground(&prod, &agent);
    let declared = names(&[]);
    let around = Around { ground: &ground, declared: &declared, unreadable: false, undeployed: None, now: NOW };
    let mut orphans = Orphans::default();
    let seen = ["web", "foreign", "gone", "unread", "draining"];
    orphans.scanned(Some(seen.iter().map(|name| (*name).to_owned()).collect()), &around);
    let mut foreign = live(answer());
    foreign.tags.insert("lockstep:source".into(), "other".into());
    let mut draining = live(answer());
    draining.status = "DRAINING".into();
    let readings = BTreeMap::from([
        ("web".to_owned(), Reading::Found(live(answer()))),
        ("foreign".to_owned(), Reading::Found(foreign)),
        ("gone".to_owned(), Reading::Missing),
        ("unread".to_owned(), Reading::Failed("denied".into())),
        ("draining".to_owned(), Reading::Found(draining)),
    ]);
    assert_eq!(orphans.ours(readings, &ground).into_keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(orphans.names(&around), ["draining", "unread", "web"]);
}

#[test]
fn a_removal_is_made_once_waits_after_a_failure_and_stops_for_a_pause() {
    let (prod, agent) = (environment("prune: true"), Orders::agent());
    let mut ground = ground(&prod, &agent);
    let (declared, by) = (names(&["a", "b", "c"]), Declared::By("0123456789abcdef".into()));
    let old = live(answer());
    let mut orphans = Orphans::default();
    let decide = |orphans: &Orphans, ground: &Ground<'_>, now| {
        let around = Around { ground, declared: &declared, unreadable: false, undeployed: None, now };
        orphans.decide("web", &old, &by, 1, &around)
    };
    let mut decided = decide(&orphans, &ground, NOW);
    assert!(decided.writes && decided.breach.is_none());
    let failure = WriteFailure {
        action: ActionKind::PruneService,
        remedy: Remedy::Denied,
        code: "AccessDeniedException".into(),
        text: "no".into(),
        told: "failed to call ecs:UpdateService: no".into(),
    };
    let (note, told) = orphans.removed(&mut decided.plan, &WriteOutcome::Failed(failure.clone()), NOW);
    assert_eq!((note.as_str(), told), (failure.told.as_str(), Some(What::Failed { reason: failure.told.clone() })));
    assert_eq!((kinds(&decided.plan), reasons(&decided.plan)), (vec![], vec![Reason::Failed]));
    assert!(!decide(&orphans, &ground, NOW + 299).writes);
    let mut decided = decide(&orphans, &ground, NOW + 300);
    assert!(decided.writes);
    let (_, told) = orphans.removed(&mut decided.plan, &WriteOutcome::Done(Done::default()), NOW + 300);
    assert!(matches!(told, Some(What::Wrote { .. })));
    assert_eq!((decided.plan.verdict, reasons(&decided.plan)), (Some(Verdict::Progressing), vec![Reason::Orphan]));
    // What a person was shown is removed, and nothing else.
    let shown = Orders { removals: Some(names(&["prod/other"])), ..Orders::agent() };
    assert!(!decide(&orphans, &Ground { orders: &shown, ..ground.clone() }, NOW + 900).writes);
    ground.paused = Reading::Found(Pause::parse("by=ada"));
    let decided = decide(&orphans, &ground, NOW + 900);
    assert_eq!((decided.writes, reasons(&decided.plan)), (false, vec![Reason::Paused]));
    // Whether it is paused could not be read: nothing is removed for that.
    ground.paused = Reading::Failed("denied".into());
    let decided = decide(&orphans, &ground, NOW + 900);
    assert_eq!((decided.writes, reasons(&decided.plan)), (false, vec![Reason::Unread]));
}
