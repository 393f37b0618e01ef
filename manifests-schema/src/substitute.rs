//! `${{ … }}`: a closed list of names, no expressions. Results are never scanned again.

use crate::{
    budget::{Meter, Weight},
    codes,
    diagnostic::{Diagnostic, suggest},
    node::{Entry, Map, Node, Value},
    source::Span,
};
use std::collections::{BTreeMap, HashSet};

/// Whether a text has a substitution or an escape of one.
pub fn has_substitution(text: &str) -> bool {
    text.contains("${{")
}

/// Something that must be read from AWS before a service can be rendered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A parameter of Parameter Store, with a version when one is named.
    Ssm {
        /// The parameter's name.
        name: String,
        /// The version, when the manifest names one.
        version: Option<u64>,
    },
    /// A secret of Secrets Manager by its name: stands for its ARN. The value is never read.
    Secret {
        /// The secret's name.
        name: String,
    },
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reference::Ssm { name, version: None } => write!(formatter, "ssm:{name}"),
            Reference::Ssm { name, version: Some(version) } => write!(formatter, "ssm:{name}:{version}"),
            Reference::Secret { name } => write!(formatter, "secret:{name}"),
        }
    }
}

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Resolved {
    /// A String parameter, or a secret's ARN; of a parameter, the version that was read.
    Text(String, Option<u64>),
    /// A StringList parameter.
    List(Vec<String>, Option<u64>),
    /// It cannot be used, for this reason.
    Refused(String),
}

/// Values of references. A reference that is absent was not read.
pub type Parameters = BTreeMap<Reference, Resolved>;

/// The names that a substitution can use.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `name`, `environment`, `account`, `region`, `cluster`.
    pub fixed: Vec<(&'static str, String)>,
    /// `vars.x`: those that the definition names.
    pub vars: Map,
}

/// One part of a text.
enum Part<'a> {
    Text(&'a str),
    Name(&'a str, usize, usize),
}

/// Splits a text into literal parts and substitutions.
fn parts(text: &str) -> Result<Vec<Part<'_>>, (usize, &'static str)> {
    let mut parts = Vec::new();
    let mut rest = 0;
    let mut from = 0;
    while let Some(found) = text[from..].find("${{") {
        let at = from + found;
        if at > rest && text.as_bytes()[at - 1] == b'$' {
            parts.push(Part::Text(&text[rest..at - 1]));
            parts.push(Part::Text("${{"));
            rest = at + 3;
            from = rest;
            continue;
        }
        let Some(length) = text[at..].find("}}") else {
            return Err((at, "`${{` is not closed by `}}`"));
        };
        if at > rest {
            parts.push(Part::Text(&text[rest..at]));
        }
        let end = at + length + 2;
        parts.push(Part::Name(text[at + 3..end - 2].trim(), at, end));
        rest = end;
        from = end;
    }
    if rest < text.len() || parts.is_empty() {
        parts.push(Part::Text(&text[rest..]));
    }
    Ok(parts)
}

/// The ranges of substitutions in a text, for code that must not look inside of them.
pub fn substitution_ranges(text: &str) -> Vec<std::ops::Range<usize>> {
    parts(text).map_or_else(
        |_| Vec::new(),
        |parts| {
            parts
                .iter()
                .filter_map(|part| if let Part::Name(_, start, end) = part { Some(*start..*end) } else { None })
                .collect()
        },
    )
}

/// The variables that a text names.
pub fn variables_of(text: &str) -> Vec<String> {
    let parts = parts(text).unwrap_or_default();
    let name = |part: &Part<'_>| match part {
        Part::Name(name, ..) => name.strip_prefix("vars.").map(str::to_owned),
        Part::Text(_) => None,
    };
    parts.iter().filter_map(name).collect()
}

/// What a tree names in its substitutions.
#[derive(Default)]
pub(crate) struct Named {
    /// Parameters and secrets, each once, with its first place.
    pub(crate) references: Vec<(Reference, Span)>,
    /// Variables.
    pub(crate) variables: HashSet<String>,
    seen: HashSet<Reference>,
}

impl Named {
    /// Collects what a tree names.
    pub(crate) fn collect(&mut self, node: &Node) {
        match &node.value {
            Value::String(text) if has_substitution(text) => {
                for part in parts(text).unwrap_or_default() {
                    let Part::Name(name, ..) = part else { continue };
                    if let Some(variable) = name.strip_prefix("vars.") {
                        if !self.variables.contains(variable) {
                            self.variables.insert(variable.to_owned());
                        }
                    } else if let Some(Ok(reference)) = reference(name)
                        && self.seen.insert(reference.clone())
                    {
                        self.references.push((reference, node.span.clone()));
                    }
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Map(map) => map.values().for_each(|entry| self.collect(&entry.node)),
            _ => {}
        }
    }
}

fn reference(name: &str) -> Option<Result<Reference, String>> {
    if let Some(rest) = name.strip_prefix("ssm:") {
        let (path, version) = match rest.rsplit_once(':') {
            Some((path, version)) => match version.parse() {
                Ok(version) => (path, Some(version)),
                Err(_) => return Some(Err(format!("`{version}` is not a parameter version"))),
            },
            None => (rest, None),
        };
        if path.is_empty() {
            return Some(Err("the parameter's name is missing".to_owned()));
        }
        return Some(Ok(Reference::Ssm { name: path.to_owned(), version }));
    }
    let secret = name.strip_prefix("secret:")?;
    Some(if secret.is_empty() {
        Err("the secret's name is missing".to_owned())
    } else {
        Ok(Reference::Secret { name: secret.to_owned() })
    })
}

/// How a tree is substituted.
pub(crate) struct Substitution<'a> {
    /// What names stand for.
    pub(crate) scope: &'a Scope,
    /// All variables that there are, for suggestions.
    pub(crate) known: &'a [&'a Map],
    /// Values of references. Without them (offline), references stay as they are written.
    pub(crate) parameters: Option<&'a Parameters>,
}

impl Substitution<'_> {
    /// Replaces every substitution in a tree. What is put in is counted before it is built; where that is too much, the
    /// meter is spent, and the result is of no use.
    pub(crate) fn of(&self, node: &Node, meter: &mut Meter, problems: &mut Vec<Diagnostic>) -> Node {
        let Self { scope, known, parameters } = *self;
        Walk { scope, known, parameters, meter, problems }.node(node)
    }
}

struct Walk<'a> {
    scope: &'a Scope,
    known: &'a [&'a Map],
    parameters: Option<&'a Parameters>,
    meter: &'a mut Meter,
    problems: &'a mut Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    fn node(&mut self, node: &Node) -> Node {
        let value = match &node.value {
            Value::String(text) if has_substitution(text) => self.text(text, &node.span),
            Value::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let whole = item.as_str().is_some_and(has_substitution);
                    match self.node(item) {
                        Node { value: Value::List(inner), .. } if whole => list.extend(inner),
                        other => list.push(other),
                    }
                }
                Value::List(list)
            }
            Value::Map(map) => Value::Map(
                map.iter()
                    .map(|(name, entry)| (name.clone(), Entry { key: entry.key.clone(), node: self.node(&entry.node) }))
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { value, span: node.span.clone() }
    }

    fn problem(&mut self, code: codes::Code, span: &Span, message: String) -> Value {
        self.problems.push(Diagnostic::error(code, span, message));
        Value::Null
    }

    /// Counts what a name stands for before it is put in. Says so once where that is too much.
    fn count(&mut self, weight: Weight, name: &str, span: &Span) -> bool {
        match (self.meter.is_spent(), self.meter.charge(weight)) {
            (false, Ok(())) => true,
            (true, _) => false,
            (false, Err(excess)) => {
                let message = format!("with `{name}` the service becomes {excess}");
                self.problem(codes::TOO_COMPLEX, span, message);
                false
            }
        }
    }

    fn text(&mut self, text: &str, span: &Span) -> Value {
        if self.meter.is_spent() {
            return Value::Null;
        }
        let parts = match parts(text) {
            Ok(parts) => parts,
            Err((_, message)) => {
                return self.problem(codes::SUBSTITUTION, span, message.to_owned());
            }
        };
        if let [Part::Name(name, ..)] = parts.as_slice() {
            return match self.resolve(name, span) {
                Some(found) if self.count(found.weight(), name, span) => found.into_value(span),
                Some(_) => Value::Null,
                None if self.parameters.is_none() => Value::String(text.to_owned()),
                None => Value::Null,
            };
        }
        let mut result = String::new();
        for part in parts {
            match part {
                Part::Text(text) => result.push_str(text),
                Part::Name(name, start, end) => match self.resolve(name, span) {
                    Some(found) => match found.text() {
                        Ok(inner) => {
                            if !self.count(Weight::text(inner), name, span) {
                                return Value::Null;
                            }
                            result.push_str(inner);
                        }
                        Err(kind) => {
                            let message = format!("`{name}` is {kind}; inside a text it must be a string or a number");
                            self.problem(codes::SUBSTITUTION_TYPE, span, message);
                        }
                    },
                    None => result.push_str(&text[start..end]),
                },
            }
        }
        Value::String(result)
    }

    fn resolve(&mut self, name: &str, span: &Span) -> Option<Found<'a>> {
        // Apart from `self`, whose problems are written while this is looked at.
        let scope = self.scope;
        if let Some((_, value)) = scope.fixed.iter().find(|(fixed, _)| *fixed == name) {
            return Some(Found::Text(value));
        }
        if let Some(variable) = name.strip_prefix("vars.") {
            if let Some(entry) = scope.vars.get(variable) {
                return Some(Found::Node(&entry.node));
            }
            let message = format!("the variable `{variable}` is not set for this service and environment");
            let names = self.known.iter().flat_map(|map| map.keys()).map(String::as_str);
            let problem = Diagnostic::error(codes::UNKNOWN_VARIABLE, span, message);
            suggest(self.problems, problem, variable, names);
            return None;
        }
        match reference(name) {
            Some(Ok(reference)) => self.parameter(&reference, span),
            Some(Err(message)) => {
                self.problem(codes::SUBSTITUTION, span, message);
                None
            }
            None => {
                let known = ["name", "environment", "account", "region", "cluster", "vars.", "ssm:", "secret:"];
                let message = format!("`{name}` is not something that can be substituted");
                self.problems.push(Diagnostic::error(codes::SUBSTITUTION, span, message).suggest(name, known).hint(
                    "known are name, environment, account, region, cluster, vars.NAME, ssm:/PATH and secret:NAME",
                ));
                None
            }
        }
    }

    fn parameter(&mut self, reference: &Reference, span: &Span) -> Option<Found<'a>> {
        match self.parameters?.get(reference) {
            Some(Resolved::Text(text, _)) => Some(Found::Text(text)),
            Some(Resolved::List(items, _)) => Some(Found::List(items)),
            Some(Resolved::Refused(reason)) => {
                self.problem(codes::PARAMETER, span, format!("`{reference}` cannot be used: {reason}"));
                None
            }
            None => {
                self.problem(codes::PARAMETER, span, format!("`{reference}` was not read"));
                None
            }
        }
    }
}

/// What a name stands for, before it is copied.
enum Found<'a> {
    Text(&'a str),
    List(&'a [String]),
    Node(&'a Node),
}

impl Found<'_> {
    fn weight(&self) -> Weight {
        match self {
            Self::Text(text) => Weight::text(text),
            Self::List(items) => items.iter().map(|item| Weight::text(item)).fold(Weight::new(1, 0), Weight::and),
            Self::Node(node) => Weight::of(node),
        }
    }

    /// The text to put into a longer one, or what it is instead.
    fn text(&self) -> Result<&str, &'static str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Node(Node { value: Value::String(text) | Value::Number(text), .. }) => Ok(text),
            Self::List(_) => Err("a list"),
            Self::Node(node) => Err(node.kind()),
        }
    }

    fn into_value(self, span: &Span) -> Value {
        match self {
            Self::Text(text) => Value::String(text.to_owned()),
            Self::List(items) => Value::List(items.iter().map(|item| Node::string(item.clone(), span)).collect()),
            Self::Node(node) => node.value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse::parse, source::SourceFile};

    fn run(text: &str, parameters: Option<&Parameters>) -> (serde_json::Value, Vec<String>) {
        let node = parse(&SourceFile::new("a.yaml", text)).unwrap();
        let vars = parse(&SourceFile::new("v.yaml", "port: 8080\nversion: 1.10\nlist: [a, b]\non: true\n")).unwrap();
        let Value::Map(vars) = vars.value else { panic!() };
        let scope = Scope { fixed: vec![("region", "eu-central-1".into())], vars };
        let mut problems = Vec::new();
        let mut meter = Meter::new(crate::budget::SERVICE);
        let known = [&scope.vars];
        let result = Substitution { scope: &scope, known: &known, parameters }.of(&node, &mut meter, &mut problems);
        (result.to_json(), problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_whole_value_takes_the_type_and_text_joins_source_text() {
        let (value, problems) = run(
            "a: ${{ vars.port }}\nb: x-${{ vars.version }}-${{region}}\nc: [z, \"${{ vars.list }}\"]\nd: ${HOME} $${{ vars.port }}\n",
            None,
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            value,
            serde_json::json!({"a": 8080, "b": "x-1.10-eu-central-1", "c": ["z", "a", "b"], "d": "${HOME} ${{ vars.port }}"})
        );
    }

    #[test]
    fn what_cannot_be_substituted_is_an_error() {
        for (text, message) in [
            ("a: ${{ vars.prt }}", "the variable `prt` is not set for this service and environment"),
            ("a: x${{ vars.list }}", "`vars.list` is a list; inside a text it must be a string or a number"),
            ("a: x${{ vars.on }}", "`vars.on` is a boolean; inside a text it must be a string or a number"),
            ("a: ${{ env.HOME }}", "`env.HOME` is not something that can be substituted"),
            ("a: \"${{ region\"", "`${{` is not closed by `}}`"),
        ] {
            assert_eq!(run(text, None).1, vec![message.to_owned()], "{text}");
        }
    }

    #[test]
    fn parameters_become_text_or_lists_and_are_never_scanned_again() {
        let parameters = Parameters::from([
            (
                Reference::Ssm { name: "/a".into(), version: None },
                Resolved::List(vec!["s-1".into(), "s-2".into()], Some(3)),
            ),
            (Reference::Ssm { name: "/b".into(), version: Some(2) }, Resolved::Text("${{ region }}".into(), Some(2))),
        ]);
        let (value, problems) = run("a: ${{ ssm:/a }}\nb: x${{ ssm:/b:2 }}\nc: ${{ ssm:/c }}\n", Some(&parameters));
        assert_eq!(value, serde_json::json!({"a": ["s-1", "s-2"], "b": "x${{ region }}", "c": null}));
        assert_eq!(problems, vec!["`ssm:/c` was not read".to_owned()]);
        assert_eq!(run("a: ${{ ssm:/a }}", None).0, serde_json::json!({"a": "${{ ssm:/a }}"}));
    }
}
