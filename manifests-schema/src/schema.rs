//! JSON Schemas of the repository's files, for editors. Made from the same tables that the files are checked with, so
//! that an editor and `lockstep validate` agree. A schema is looser where layers make it so: nothing is required of one
//! layer, and a substitution may stand wherever a value may.

use crate::{
    canonical::Root,
    ecs::{Kind, Structure, shapes},
    lists::{Key, KeyForm, ListKind, list_kind},
};
use serde_json::{Map, Value, json};

/// The dialect.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// All schemas by file name, in order.
pub fn all() -> Vec<(&'static str, Value)> {
    let mut layer = Definitions::new(Form::Layer);
    let service = service_file(&mut layer);
    let service = layer.finish("A service's own settings (service.yaml)", service);
    let layer_file = |title: &str, members: fn(&mut Definitions) -> Map<String, Value>| {
        let mut definitions = Definitions::new(Form::Layer);
        let members = members(&mut definitions);
        definitions.finish(title, object(members))
    };
    let aws = |title: &str, root: Root| {
        let mut definitions = Definitions::new(Form::Aws);
        let schema = aws_file(&mut definitions, root);
        definitions.finish(title, schema)
    };
    vec![
        ("lockstep.schema.json", layer_file("The repository's own file (lockstep.yaml)", repository)),
        ("service.schema.json", service),
        ("overlay.schema.json", layer_file("What an environment changes in a service (ENVIRONMENT.yaml)", overlay)),
        ("component.schema.json", layer_file("A reusable layer (components/NAME.yaml)", component)),
        (
            "pins.schema.json",
            Definitions::new(Form::Layer).finish("Pins, one line a container (ENVIRONMENT.pins.yaml)", pins()),
        ),
        (
            "at.schema.json",
            Definitions::new(Form::Layer)
                .finish("At which commit a service is in an environment (ENVIRONMENT.at.yaml)", at()),
        ),
        (
            "taskdef.schema.json",
            aws("RegisterTaskDefinition's input (taskdef.json, taskdef.yaml)", Root::TaskDefinition),
        ),
        ("servicedef.schema.json", aws("CreateService's input (servicedef.json, servicedef.yaml)", Root::Service)),
    ]
}

/// Which files a schema is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Our own layers: `null` removes.
    Layer,
    /// AWS's own shape: `null` is as absent.
    Aws,
}

/// The `$defs` of a schema, added when they are first used.
struct Definitions {
    form: Form,
    found: Map<String, Value>,
}

impl Definitions {
    fn new(form: Form) -> Self {
        Self { form, found: Map::new() }
    }

    fn finish(mut self, title: &str, schema: Value) -> Value {
        let mut result = Map::new();
        result.insert("$schema".into(), json!(DIALECT));
        result.insert("title".into(), json!(title));
        if let Value::Object(members) = schema {
            result.extend(members);
        }
        self.found.sort_keys();
        if !self.found.is_empty() {
            result.insert("definitions".into(), Value::Object(self.found));
        }
        Value::Object(result)
    }

    /// A reference to a definition, which is made when it is the first.
    fn named(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.found.contains_key(name) {
            // Held before it is made: shapes may lead back to themselves.
            self.found.insert(name.to_owned(), Value::Null);
            let schema = make(self);
            self.found.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }

    fn substitution(&mut self) -> Value {
        self.named("substitution", |_| {
            json!({"type": "string", "pattern": "\\$\\{\\{", "description": "${{ name }}, environment, account, region, cluster, vars.NAME, ssm:/PATH[:VERSION] or secret:NAME"})
        })
    }

    fn structure(&mut self, shape: &'static Structure) -> Value {
        self.named(shape.name, |definitions| {
            let members = shape.members.iter().filter(|member| member.in_sdk);
            let members = members.map(|member| {
                let value = definitions.value(&member.kind, shape, member.name);
                (member.name.to_owned(), definitions.nullable(value))
            });
            object(members.collect())
        })
    }

    fn nullable(&self, schema: Value) -> Value {
        one_of([schema, json!({"type": "null"})])
    }

    fn value(&mut self, kind: &'static Kind, owner: &'static Structure, name: &str) -> Value {
        let plain = match kind {
            Kind::String => json!({"type": ["string", "number", "boolean"]}),
            Kind::Enum(values) => {
                let mut values: Vec<&str> = values.to_vec();
                values.push("");
                json!({"enum": values})
            }
            Kind::Integer | Kind::Long => {
                one_of([json!({"type": "integer"}), json!({"type": "string", "pattern": "^\\s*-?[0-9]+\\s*$"})])
            }
            Kind::Double => {
                one_of([json!({"type": "number"}), json!({"type": "string", "pattern": "^\\s*-?[0-9.]+\\s*$"})])
            }
            Kind::Boolean => json!({"enum": [true, false, "true", "false"]}),
            Kind::Document => json!({}),
            Kind::Structure(shape) => self.structure(shape),
            Kind::List(element) => return self.list(element, owner, name),
            Kind::Map(element) => {
                let value = self.value(element, owner, name);
                json!({"type": "object", "additionalProperties": self.nullable(value)})
            }
        };
        if matches!(kind, Kind::Document | Kind::String) { plain } else { one_of([plain, self.substitution()]) }
    }

    fn list(&mut self, element: &'static Kind, owner: &'static Structure, name: &str) -> Value {
        let item = self.value(element, owner, name);
        let list = json!({"type": "array", "items": item});
        let substitution = self.substitution();
        match (list_kind(owner.name, name), element) {
            (ListKind::Keyed(key), Kind::Structure(shape)) if key.has_map_form() => {
                let map = self.keyed(key, shape);
                one_of([list, map, substitution])
            }
            _ => one_of([list, substitution]),
        }
    }

    /// The list as a map from its key.
    fn keyed(&mut self, key: Key, shape: &'static Structure) -> Value {
        let mut forms = vec![self.structure(shape)];
        if let Some(scalar) = key.scalar
            && let Some(member) = shape.member(scalar)
        {
            forms.push(self.value(&member.kind, shape, member.name));
        }
        forms.push(json!({"type": "null"}));
        let element = one_of(forms);
        match key.form {
            KeyForm::Port => json!({
                "type": "object",
                "patternProperties": {"^[0-9]+(-[0-9]+)?(/(tcp|udp))?$": element},
                "additionalProperties": false
            }),
            _ => json!({"type": "object", "additionalProperties": element}),
        }
    }
}

/// One of several schemas; those that are choices themselves are taken apart.
fn one_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    let mut choices: Vec<Value> = Vec::new();
    for schema in schemas {
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(inner) => choices.extend(inner.iter().cloned()),
            None => choices.push(schema),
        }
    }
    choices.dedup();
    if choices.len() == 1 { choices.remove(0) } else { json!({ "anyOf": choices }) }
}

fn object(members: Map<String, Value>) -> Value {
    json!({"type": "object", "properties": members, "additionalProperties": false})
}

fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn texts(description: &str) -> Value {
    json!({"description": description, "anyOf": [text(), {"type": "array", "items": text()}]})
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// The members that every layer has.
fn layer(definitions: &mut Definitions) -> Map<String, Value> {
    let file = json!({"type": "string", "description": "a file in AWS's own shape, relative to this one, or to the root with a leading `/`"});
    let task_definition = definitions.structure(Root::TaskDefinition.shape());
    let service = definitions.structure(Root::Service.shape());
    let operation = json!({
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string", "pattern": "^(/.*)?$"},
            "from": {"type": "string"},
            "value": {},
        },
    });
    let members = [
        ("vars", json!({"type": "object", "description": "variables, for `${{ vars.NAME }}`"})),
        (
            "taskDefinition",
            described(one_of([task_definition, file.clone()]), "RegisterTaskDefinition's input, or a file with it"),
        ),
        (
            "service",
            described(
                one_of([service, file]),
                "CreateService's input, or a file with it; `none` where no ECS service uses the task definition, with `scope: taskDefinition`",
            ),
        ),
        ("ignore", texts("paths that are neither compared nor sent in an update")),
        ("updates", updates(definitions)),
        (
            "scope",
            json!({"enum": ["service", "taskDefinition"], "description": "what is ours: the ECS service with its task definition, or the task definition alone"}),
        ),
        ("after", texts("services that go first")),
        (
            "adopt",
            json!({"type": "boolean", "description": "take over an existing service, where the agent's file allows it"}),
        ),
        (
            "replace",
            json!({"type": "boolean", "description": "delete the service and create it again for what ECS cannot change on it"}),
        ),
        ("sync", sync_of_service()),
    ];
    let mut result: Map<String, Value> = members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    result.insert("patches".into(), json!({"type": "array", "description": "RFC 6902 operations on {taskDefinition, service}, keyed lists in keyed form", "items": operation}));
    // A null member of a layer is as absent.
    result.into_iter().map(|(name, schema)| (name, one_of_described(schema))).collect()
}

/// The same or null, with its description kept outside.
fn one_of_described(mut schema: Value) -> Value {
    let description = schema.as_object_mut().and_then(|map| map.shift_remove("description"));
    let mut schema = one_of([schema, json!({"type": "null"})]);
    if let Some(description) = description {
        schema["description"] = description;
    }
    schema
}

fn component(definitions: &mut Definitions) -> Map<String, Value> {
    layer(definitions)
}

fn overlay(definitions: &mut Definitions) -> Map<String, Value> {
    let mut members = layer(definitions);
    members.insert("components".into(), texts("components to lay below this layer"));
    members
}

fn defaults(definitions: &mut Definitions) -> Value {
    definitions.named("defaults", |definitions| {
        let mut members = overlay(definitions);
        members.shift_remove("patches");
        object(members)
    })
}

fn service_file(definitions: &mut Definitions) -> Value {
    let mut members = overlay(definitions);
    let overlay = definitions.named("overlay", |definitions| object(overlay(definitions)));
    let overlays = json!({"type": "object", "additionalProperties": one_of([overlay, json!({"type": "null"})])});
    let names = json!({"type": "array", "items": text(), "uniqueItems": true});
    let description = "the environments that the service is in: a list of names, or a map from name to what changes there, where null takes it out of one that it would inherit; without it, the service is in every environment";
    members.insert("environments".into(), described(one_of([overlays, names]), description));
    object(members)
}

/// `updates` of a layer: image policies by container.
fn updates(definitions: &mut Definitions) -> Value {
    let policy = definitions.named("imagePolicy", |_| {
        let pattern = |description: &str| json!({"type": "string", "minLength": 1, "maxLength": 512, "description": description});
        let cut = object(Map::from_iter([
            ("range".to_owned(), described(text(), "the constraint")),
            ("from".to_owned(), pattern("what cuts the version out of a tag")),
        ]));
        let age = json!({"type": "string", "pattern": "^([0-9]+[smhd])+$", "description": "how long ago an image must have been pushed: 30m, 2h, 3d"});
        let members = [
            ("semver", described(one_of([text(), cut]), "the highest version that satisfies a constraint: `>=1.4 <2`, `~1.4`, `^1 || ^2`; or `range` with `from`, whose group cuts the version out of a tag")),
            ("version", pattern("the highest row of numbers, of any length, that the pattern's group captures: `12.5.10.3`")),
            ("newest", pattern("the image pushed last, of the tags that match")),
            ("numeric", pattern("the highest number that the pattern's group captures")),
            ("alphabetical", pattern("the last text that the pattern's group captures")),
            ("digest", described(text(), "what a moving tag points at")),
            ("follow", json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$", "description": "SERVICE/CONTAINER: the same pin as that one"})),
            ("allow", texts("regular expressions of which a tag must match one")),
            ("ignore", texts("regular expressions of which a tag must match none")),
            ("minAge", age),
            ("platform", texts("platforms that an image must have (linux/arm64); the task definition's where absent")),
            ("downgrade", json!({"type": "boolean", "description": "whether a lower version than the pinned one may be taken (false)"})),
            ("hold", json!({"type": "string", "minLength": 1, "description": "why the pin is left alone"})),
        ];
        object(members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect())
    });
    json!({
        "type": "object",
        "description": "image policies by container; null removes one",
        "additionalProperties": one_of([policy, json!({"type": "null"})]),
    })
}

/// `sync.heal`.
fn heal() -> Value {
    let members = [
        (
            "after",
            json!({"type": "string", "pattern": "^([0-9]+[smhd])+$", "description": "how long drift must last before it is healed (0s)"}),
        ),
        (
            "count",
            json!({"enum": ["up", "both", "never"], "description": "the desired count: up (default) lowers one that was raised by hand only after an hour, both heals in both directions at once, never leaves it alone"}),
        ),
    ];
    let map = object(members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect());
    let never = json!({"const": "never"});
    described(one_of([never, map]), "whether and when drift is healed; never: it is only reported")
}

/// `sync` of a service, which only narrows what its environment allows.
fn sync_of_service() -> Value {
    let mode = json!({"const": "observe", "description": "the service is observed only"});
    let members = [("mode".to_owned(), mode), ("heal".to_owned(), heal())];
    described(object(members.into_iter().collect()), "narrows what the environment's sync allows")
}

fn repository(definitions: &mut Definitions) -> Map<String, Value> {
    let defaults = defaults(definitions);
    let count = |text: &str| json!({"type": "integer", "minimum": 0, "description": text});
    let span = |text: &str| json!({"type": "string", "pattern": "^([0-9]+[smhd])+$", "description": text});
    let sync = [
        (
            "mode",
            json!({"enum": ["observe", "converge"], "description": "observe (default): plan and report, never write"}),
        ),
        ("maxConcurrent", count("most rollouts at one time (10); 0 is no limit")),
        ("stopAfterFailures", count("how many rejected services of one change stop the rest of it (3); 0 is no limit")),
        (
            "maxUnexplained",
            count("most services whose differences no commit explains; more wait for a person (10); 0 is no limit"),
        ),
        (
            "prune",
            json!({"type": "boolean", "description": "whether services that are no longer declared are deleted (false)"}),
        ),
        ("heal", heal()),
        ("deadline", span("how long a rollout may go without progress before it is called stalled (20m)")),
    ];
    let sync = object(sync.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect());
    let members = [
        (
            "inherits",
            json!({"type": "string", "description": "another environment: its settings, overlays and pins, then this one's own"}),
        ),
        (
            "account",
            json!({"type": "string", "pattern": "^[0-9]{12}$", "description": "AWS account id; compared with the credentials before the first read"}),
        ),
        ("region", json!({"type": "string"})),
        ("cluster", json!({"type": "string"})),
        ("vars", json!({"type": "object"})),
        ("defaults", defaults.clone()),
        ("sync", sync),
        (
            "updates",
            object([("write".to_owned(), json!({"enum": ["commit", "none"], "description": "what is done with images that policies pick (commit)"}))].into_iter().collect()),
        ),
        ("after", texts("environments that go first, service by service")),
    ];
    let environment = object(members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect());
    let environment = definitions.named("environment", |_| environment);
    [
        ("version", json!({"enum": [1, "1", 2, "2"], "description": "the version of the format: 2"})),
        ("defaults", described(one_of([defaults]), "what every service starts from")),
        ("environments", json!({"type": "object", "additionalProperties": environment, "propertyNames": {"pattern": "^[A-Za-z0-9_-]+$", "not": {"enum": ["service", "servicedef", "taskdef"]}}})),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}

fn at() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["commit", "reason"],
        "properties": {
            "commit": {
                "description": "a commit of the branch's first-parent history: its id, or its first letters",
                "anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9A-Fa-f]{7,40}$"}],
            },
            "reason": {"description": "why, for whoever wonders", "type": ["string", "number"], "minLength": 1},
        },
    })
}

fn pins() -> Value {
    json!({
        "type": ["object", "null"],
        "additionalProperties": {
            "description": "TAG, TAG@sha256:DIGEST, @sha256:DIGEST or a full image reference",
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": "^([A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64}|[^\\s/][^\\s]*/[^\\s]*[^\\s/])$"}],
        },
    })
}

/// A definition as the API takes it, or wrapped as `describe-*` prints it.
fn aws_file(definitions: &mut Definitions, root: Root) -> Value {
    let read_only = match root {
        Root::TaskDefinition => shapes::TASK_DEFINITION_READ_ONLY,
        Root::Service => shapes::SERVICE_READ_ONLY,
    };
    let mut plain = definitions.structure(root.shape());
    if let Some(schema) = definitions.found.get_mut(root.shape().name)
        && let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut)
    {
        for name in read_only {
            members.entry(*name).or_insert(json!({"description": "part of what AWS answers; it is dropped"}));
        }
    }
    if definitions.form == Form::Aws && root == Root::Service {
        plain = one_of([
            plain,
            json!({"type": "object", "required": ["service"]}),
            json!({"type": "object", "required": ["services"]}),
        ]);
    } else {
        plain = one_of([plain, json!({"type": "object", "required": ["taskDefinition"]})]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_made_and_used() {
        for (name, schema) in all() {
            let text = schema.to_string();
            let definitions = schema.get("definitions").and_then(Value::as_object).cloned().unwrap_or_default();
            for (definition, schema) in &definitions {
                assert!(!schema.is_null(), "{name}: {definition} is not made");
                assert!(text.contains(&format!("\"#/definitions/{definition}\"")), "{name}: {definition} is not used");
            }
            for reference in text.split("\"#/definitions/").skip(1) {
                let target = reference.split('"').next().unwrap();
                assert!(definitions.contains_key(target), "{name}: {target} is not there");
            }
        }
    }
}
