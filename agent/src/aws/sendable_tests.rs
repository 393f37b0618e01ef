//! Every definition that `validate` accepts can be built into the SDK's inputs: blocks that are empty, members that are
//! required and say nothing, and everything else that people and AWS itself write.

use super::generated;
use aws_sdk_ecs::{Client, config::BehaviorVersion};
use lockstep_core::compare::{normalise::Context, send::sendable};
use lockstep_manifests::{
    canonical::{Origin, Root, canonical},
    check::{Unresolved, check},
    diagnostic::has_errors,
    ecs::{Kind, Structure},
    parse::parse,
    source::SourceFile,
};
use serde_json::{Map, Value, json};

/// A client is needed to hold a request, which is never sent.
fn client() -> Client {
    Client::from_conf(aws_sdk_ecs::Config::builder().behavior_version(BehaviorVersion::latest()).build())
}

/// The definition as it is read from a file; none where `validate` refuses it.
fn accepted(root: Root, written: &Value) -> Option<Value> {
    let mut problems = Vec::new();
    let node = parse(&SourceFile::new("a.json", written.to_string())).ok()?;
    let canonical = canonical(node, root, Origin::Aws, &mut problems);
    let value = check(&canonical, root.shape(), Unresolved::None, &mut problems);
    (!has_errors(&problems)).then_some(Value::Object(value))
}

fn build(root: Root, declared: &Value) -> Result<(), String> {
    let sent = sendable(root, declared, &Context::of([declared]));
    let said = |error: &dyn std::fmt::Display| format!("{error}: {sent}");
    match root {
        Root::TaskDefinition => {
            let typed = serde_json::from_value(sent.clone()).map_err(|error| said(&error))?;
            generated::register_task_definition(client().register_task_definition(), &typed)
                .map_err(|error| said(&error))?;
        }
        Root::Service => {
            let typed = serde_json::from_value(sent.clone()).map_err(|error| said(&error))?;
            generated::create_service(client().create_service(), &typed).map_err(|error| said(&error))?;
            generated::update_service(client().update_service(), &typed).map_err(|error| said(&error))?;
        }
    }
    Ok(())
}

/// A small source of choices.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }

    fn structure(&mut self, shape: &'static Structure) -> Value {
        let mut map = Map::new();
        for member in shape.members {
            // Now and then what is required is left out, too: whether that is accepted is for `validate` to say.
            let absent = if member.required { 40 } else { 2 };
            if member.in_sdk && self.below(absent) != 0 {
                map.insert(member.name.to_owned(), self.value(&member.kind));
            }
        }
        Value::Object(map)
    }

    fn value(&mut self, kind: &'static Kind) -> Value {
        let nothing = self.below(6) == 0;
        match kind {
            Kind::String if nothing => json!(""),
            Kind::String => json!(["a", "b", "80"][self.below(3)]),
            Kind::Enum(_) if nothing => json!(""),
            Kind::Enum(values) => json!(values[self.below(values.len())]),
            Kind::Integer | Kind::Long => json!([0, 1, 80][self.below(3)]),
            Kind::Double => json!([0.0, 10.0][self.below(2)]),
            Kind::Boolean => json!(self.below(2) == 0),
            Kind::Document => json!({"a": [1]}),
            Kind::Structure(_) if nothing => json!({}),
            Kind::Structure(shape) => self.structure(shape),
            Kind::List(_) if nothing => json!([]),
            Kind::List(element) => (0..=self.below(2)).map(|_| self.value(element)).collect(),
            Kind::Map(_) => json!({"a": "", "b": "c"}),
        }
    }
}

// I1: whatever is accepted can be sent.
#[test]
fn every_definition_that_is_accepted_can_be_built() {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for (root, base) in [
        (Root::TaskDefinition, json!({"family": "a", "containerDefinitions": []})),
        (Root::Service, json!({"serviceName": "a"})),
    ] {
        // One member at a time, so that what one of them lacks does not hide the others.
        for member in root.shape().members.iter().filter(|member| member.in_sdk) {
            let mut count = 0;
            for _ in 0..400 {
                let mut written = base.clone();
                written[member.name] = chance.value(&member.kind);
                if let Some(declared) = accepted(root, &written) {
                    count += 1;
                    if let Err(error) = build(root, &declared) {
                        panic!("{}: {error}\nwritten as {written}", member.name);
                    }
                }
            }
            assert!(count >= 20, "{}: only {count} of 400 are accepted", member.name);
        }
    }
}

// I1: as AWS prints alarms that are off, and as people shorten them.
#[test]
fn alarms_that_are_off_can_be_sent() {
    for alarms in [
        json!({"alarmNames": [], "enable": false, "rollback": false}),
        json!({"enable": false, "rollback": false}),
        json!({}),
        json!({"alarmNames": [], "enable": true, "rollback": true}),
    ] {
        let written = json!({"serviceName": "a", "deploymentConfiguration": {"alarms": alarms, "maximumPercent": 150}});
        let declared = accepted(Root::Service, &written).expect("because validate accepts it");
        assert_eq!(build(Root::Service, &declared), Ok(()), "{alarms}");
    }
}
