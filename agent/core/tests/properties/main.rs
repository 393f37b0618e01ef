//! Properties of the normaliser and the differ over the whole model: random definitions, what ECS makes of them, and
//! every change of one leaf.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answer;
mod definition;
mod equality;
mod leaves;
mod mask;

use answer::{Chance, answer, shuffle};
use definition::{service, task_definition};
use lockstep_core::{
    compare::{
        diff::diff,
        normalise::{Context, normalise},
    },
    stated::identity::content_hash,
};
use lockstep_manifests::{
    canonical::{Origin, Root, canonical},
    check::{Unresolved, check},
    parse::parse,
    source::SourceFile,
};
use proptest::prelude::*;
use serde_json::Value;

/// The paths that differ.
fn differences(root: Root, declared: &Value, live: &Value) -> Vec<String> {
    let context = Context::of([declared, live]);
    diff(root, declared, live, &context, &[]).into_iter().map(|change| change.path).collect()
}

fn either() -> impl Strategy<Value = (Root, Value)> {
    prop_oneof![
        task_definition().prop_map(|value| (Root::TaskDefinition, value)),
        service().prop_map(|value| (Root::Service, value)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), ..ProptestConfig::default() })]

    /// The normal form in the API's shape is its own normal form. (Keyed lists have become maps in it, so it is the
    /// set of differences that must stay empty.)
    #[test]
    fn the_normal_form_is_settled((root, value) in either()) {
        let context = Context::of([&value]);
        let once = normalise(root, &value, &context);
        prop_assert_eq!(&normalise(root, &value, &context), &once);
        let spelled = leaves::in_api_shape(root, &once);
        prop_assert_eq!(normalise(root, &spelled, &context), once);
    }

    /// What ECS returns to a definition is no difference: defaults filled, sets in another order, empty lists added
    /// and dropped.
    #[test]
    fn what_ecs_makes_of_it_is_no_difference((root, value) in either(), seed in any::<u64>()) {
        let live = answer(root, &value, &mut Chance::new(seed));
        prop_assert_eq!(differences(root, &value, &live), Vec::<String>::new(), "{:#}\nanswered as\n{:#}", value, live);
        if root == Root::TaskDefinition {
            prop_assert_eq!(content_hash(&value), content_hash(&live));
        }
    }

    /// Where order has no meaning, another order is no difference.
    #[test]
    fn order_without_meaning_is_no_difference((root, value) in either(), seed in any::<u64>()) {
        let shuffled = shuffle(root, &value, &mut Chance::new(seed));
        prop_assert_eq!(differences(root, &value, &shuffled), Vec::<String>::new(), "{:#}\nas\n{:#}", value, shuffled);
    }

    /// Where order has a meaning, another order is a difference.
    #[test]
    fn order_with_meaning_is_a_difference((root, value) in either(), pick in any::<prop::sample::Index>()) {
        let turned = leaves::turn_round(root, &value, pick);
        if let Some((path, turned)) = turned {
            prop_assert!(!differences(root, &value, &turned).is_empty(), "{path} of {value:#}");
        }
    }

    /// Each change of one leaf is seen, in both directions.
    #[test]
    fn each_change_of_a_leaf_is_seen((root, value) in either(), pick in any::<prop::sample::Index>(), seed in any::<u64>()) {
        if let Some((path, changed)) = leaves::change_one(root, &value, pick) {
            prop_assert!(!differences(root, &value, &changed).is_empty(), "{path} of {value:#}");
            prop_assert!(!differences(root, &changed, &value).is_empty(), "{path} of {value:#}");
            let live = answer(root, &value, &mut Chance::new(seed));
            prop_assert!(!differences(root, &changed, &live).is_empty(), "{path} of {value:#} against {live:#}");
        }
    }

    /// A list written as a map from its key says the same, for every list of the model that has a key.
    #[test]
    fn keyed_and_list_form_are_equal((root, value) in either()) {
        let read = |value: &Value| {
            let mut problems = Vec::new();
            let node = parse(&SourceFile::new("a.json", value.to_string())).unwrap();
            let canonical = canonical(node, root, Origin::Layer, &mut problems);
            let result = check(&canonical, root.shape(), Unresolved::None, &mut problems);
            let said: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            (Value::Object(result), said)
        };
        let (list, keyed) = (read(&value), read(&leaves::keyed_form(root, &value)));
        prop_assert_eq!(&list.1, &keyed.1);
        prop_assert_eq!(differences(root, &list.0, &keyed.0), Vec::<String>::new());
        prop_assert_eq!(differences(root, &keyed.0, &list.0), Vec::<String>::new());
    }

    /// B1: what is equal to the same is equal, whatever each of them spells out and however it is ordered. Three ways
    /// to write one definition, and one that differs.
    #[test]
    fn equality_is_transitive(value in task_definition(), seeds in any::<[u64; 3]>(), pick in any::<prop::sample::Index>()) {
        let root = Root::TaskDefinition;
        let same: Vec<Value> = seeds.iter().map(|seed| answer(root, &value, &mut Chance::new(*seed))).collect();
        for one in &same {
            for other in &same {
                prop_assert_eq!(differences(root, one, other), Vec::<String>::new(), "{:#} {:#}", one, other);
            }
        }
        if let Some((path, changed)) = leaves::change_one(root, &value, pick) {
            for one in &same {
                prop_assert!(!differences(root, one, &changed).is_empty(), "{path} of {one:#}");
                prop_assert!(!differences(root, &changed, one).is_empty(), "{path} of {one:#}");
            }
        }
    }

    /// B2: what is sent of a definition is what is compared of it.
    #[test]
    fn what_is_sent_is_what_is_compared((root, value) in either()) {
        equality::assert_sent_is_compared(root, &value, &Context::of([&value]));
    }

    /// What is declared and absent on the other side is seen, unless it only spells out a default.
    #[test]
    fn a_definition_against_nothing_shows_all_of_it((root, value) in either()) {
        let context = Context::of([&value]);
        let normal = normalise(root, &value, &context);
        let found = differences(root, &value, &Value::Null);
        prop_assert_eq!(found.is_empty(), normal.as_object().unwrap().is_empty(), "{:#}", value);
    }
}
