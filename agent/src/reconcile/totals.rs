//! What the services of a repository become together: counted as they are rendered, and refused where it is too much.

use super::load::LoadedService;
use lockstep_manifests::{
    Diagnostic, Repository,
    budget::{self, Meter, Weight},
    codes,
    source::Span,
};
use std::collections::HashMap;

/// What all services became together, and where that is too much.
pub(super) struct Totals<'a> {
    repository: &'a Repository,
    files: Meter,
    pub(super) rendered: Meter,
    environments: HashMap<&'a str, Meter>,
    services: usize,
    largest: Option<(Weight, String)>,
    /// Why no more is read.
    pub(super) exceeded: Option<Diagnostic>,
}

impl<'a> Totals<'a> {
    pub(super) fn new(repository: &'a Repository) -> Self {
        let of_environment = |name: &'a String| (name.as_str(), Meter::new(budget::ENVIRONMENT));
        Self {
            repository,
            files: Meter::new(budget::FILES),
            rendered: Meter::new(budget::REPOSITORY),
            environments: repository.environments.keys().map(of_environment).collect(),
            services: 0,
            largest: None,
            exceeded: None,
        }
    }

    /// What may still be rendered in an environment.
    pub(super) fn left(&self, environment: &str) -> bool {
        !self.rendered.is_spent() && self.environments.get(environment).is_some_and(|meter| !meter.is_spent())
    }

    pub(super) fn add(&mut self, service: &LoadedService) {
        self.services += 1;
        let span = |name: &str| self.repository.environments.get(name).map(|environment| environment.span.clone());
        let refused =
            |what: &str, excess: String, span: Option<Span>, largest: &Option<(Weight, String)>, count: usize| {
                let largest = largest.as_ref().map_or(String::new(), |(weight, path)| {
                    format!(
                        "; the largest of the {count} services that were counted is {path} with {} values",
                        weight.nodes
                    )
                });
                let message = format!("{what} becomes {excess}{largest}");
                let problem = Diagnostic { span, ..Diagnostic::general(codes::TOO_COMPLEX, message) };
                problem.hint("split the repository into several sources, or make what many services share smaller")
            };
        for (name, weight) in &service.weights {
            if self.largest.as_ref().is_none_or(|(most, _)| weight.nodes > most.nodes) {
                self.largest = Some((*weight, format!("{} in `{name}`", service.directory.path)));
            }
            let Some(meter) = self.environments.get_mut(name.as_str()) else { continue };
            let of_environment = meter.charge(*weight).map_err(|excess| (format!("environment `{name}`"), excess));
            let of_repository = self.rendered.charge(*weight).map_err(|excess| ("the repository".to_owned(), excess));
            if let (Err((what, excess)), None) = (of_environment.and(of_repository), &self.exceeded) {
                self.exceeded = Some(refused(&what, excess, span(name), &self.largest, self.services));
            }
        }
        if let (Err(excess), None) = (self.files.charge(service.files), &self.exceeded) {
            let message = format!("the files of {} services have {excess}", self.services);
            self.exceeded = Some(Diagnostic::general(codes::TOO_COMPLEX, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::reconcile::Loader;
    use lockstep_manifests::tree::MemoryTree;
    use std::fmt::Write;

    const WEB: &str = "taskDefinition: { containerDefinitions: { web: { image: i:1, memory: 64 } } }\nservice: {}\n";

    fn config(environments: usize) -> String {
        let mut text = "version: 1\nenvironments:\n".to_owned();
        for at in 0..environments {
            let _ = writeln!(text, "  e{at}: {{ account: \"111111111111\", region: r, cluster: c{at} }}");
        }
        text
    }

    // H4: one component, 200 services, 20 environments.
    #[test]
    fn what_services_become_together_is_counted_and_stops_the_source_alone() {
        let component = format!(
            "taskDefinition: {{ containerDefinitions: {{ web: {{ command: [{}] }} }} }}\n",
            vec!["x"; 15_000].join(",")
        );
        let mut files = vec![("lockstep.yaml".to_owned(), config(20)), ("components/c.yaml".to_owned(), component)];
        let service = |at: usize| format!("services/s{at:03}/service.yaml");
        files.extend((0..200).map(|at| (service(at), format!("components: [c]\n{WEB}"))));
        let mut loader = Loader::default();
        let snapshot = loader.load(&MemoryTree::new(files.clone()), "a", "");
        assert!(!snapshot.valid);
        let said: Vec<_> = snapshot.problems.iter().map(|problem| problem.message.clone()).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("nothing is written to any environment"), "{said:?}");
        assert!(
            said[1].starts_with("the repository becomes more than 2000000 values; the largest of the "),
            "{said:?}"
        );
        assert_eq!(snapshot.problems[1].place().map(|(file, ..)| file), Some("lockstep.yaml"));
        assert_eq!(snapshot.services.len(), 200, "what is not read is declared all the same");
        assert!(snapshot.has_unreadable("e0") && snapshot.has_unreadable("e19"));
        let built = snapshot
            .services
            .iter()
            .flat_map(|service| service.environments.values())
            .filter_map(|it| it.as_ref().ok());
        let nodes: u64 = built.map(|rendered| rendered.weight().nodes).sum();
        assert!(nodes < 2_100_000, "{nodes}");
        // The same commit with an ordinary component is read as ever by the same loader.
        files[1].1 = "taskDefinition: {}\n".to_owned();
        let snapshot = loader.load(&MemoryTree::new(files), "b", "");
        assert!(snapshot.valid, "{:?}", snapshot.problems);
        assert!(snapshot.services.iter().all(|service| service.environments.len() == 20));
    }

    // H6: the same mistake in many environments, and many mistakes in many services.
    #[test]
    fn problems_of_a_repository_are_kept_in_bounds() {
        let mut files = vec![("lockstep.yaml".to_owned(), config(50))];
        let bad: String = (0..300).map(|at| format!("        V{at}: \"${{{{ vars.v{at} }}}}\"\n")).collect();
        let text = format!(
            "taskDefinition:\n  containerDefinitions:\n    web:\n      image: \"i:1\"\n      environment:\n{bad}service: {{}}\n"
        );
        files.extend((0..40).map(|at| (format!("services/s{at:03}/service.yaml"), text.clone())));
        let snapshot = Loader::default().load(&MemoryTree::new(files), "a", "");
        assert!(snapshot.problems.len() <= 5_001, "{}", snapshot.problems.len());
        let first = snapshot
            .problems
            .iter()
            .filter(|problem| problem.span.as_ref().is_some_and(|span| span.file.path == "services/s000/service.yaml"));
        assert_eq!(first.count(), 200);
        let last = snapshot.problems.last().map(|problem| problem.code.id);
        assert_eq!(snapshot.services[39].environments["e49"].as_ref().err().map(Vec::len), Some(1));
        assert!(last.is_some());
    }
}
