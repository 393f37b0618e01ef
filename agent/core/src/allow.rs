//! What a source may reach. Looked at when a plan is made, and again before each write.

use crate::images::EcrRegistry;
use globset::Glob;
use lockstep_manifests::substitute::Reference;
use std::fmt;

/// A source's allow-list. The default is the agent's own account with its clusters and ECR, no parameters, no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Cluster names; any where absent.
    pub clusters: Option<Vec<String>>,
    /// Registry hosts that the agent may contact. It does not limit what ECS pulls.
    pub registries: Vec<String>,
    /// Parameters that may be read.
    pub ssm: Vec<String>,
    /// Secrets whose ARN may be asked for.
    pub secrets: Vec<String>,
    /// Whether `adopt: true` of a manifest is obeyed.
    pub adopt: bool,
}

impl Allow {
    /// Everything, for a person's own commands with the person's own credentials.
    pub fn everything() -> Self {
        Self {
            clusters: None,
            registries: vec!["*".to_owned()],
            ssm: vec!["*".to_owned()],
            secrets: vec!["*".to_owned()],
            adopt: true,
        }
    }

    /// Why a cluster may not be reached; none where it may.
    pub fn refuses_cluster(&self, cluster: &str) -> Option<String> {
        match &self.clusters {
            Some(names) if !names.iter().any(|name| matches(name, cluster)) => {
                Some(format!("the agent's file does not allow the cluster {cluster} (allow.clusters)"))
            }
            _ => None,
        }
    }

    /// Whether the agent may contact a registry: the environment's own ECR, and those that are listed.
    pub fn registry(&self, host: &str, account: &str) -> bool {
        let host = host.to_ascii_lowercase();
        EcrRegistry::parse(&host).is_some_and(|registry| registry.account == account)
            || self.registries.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &host))
    }

    /// Whether a registry's host is named letter for letter, and not only by a glob.
    pub fn names_registry(&self, host: &str) -> bool {
        self.registries.iter().any(|pattern| pattern.eq_ignore_ascii_case(host))
    }

    /// Whether a parameter may be read, or a secret's ARN asked for.
    pub fn reference(&self, reference: &Reference) -> bool {
        let (patterns, name) = match reference {
            Reference::Ssm { name, .. } => (&self.ssm, name),
            Reference::Secret { name } => (&self.secrets, name),
        };
        patterns.iter().any(|pattern| matches(pattern, name))
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

impl fmt::Display for Allow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| format!("[{}]", names.join(", "));
        let clusters = self.clusters.as_ref().map_or("any".to_owned(), |names| list(names));
        write!(
            formatter,
            "clusters {clusters}, registries {}, ssm {}, secrets {}, adopt {}",
            list(&self.registries),
            list(&self.ssm),
            list(&self.secrets),
            self.adopt
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ecr_of_the_account_is_reached_unless_more_is_allowed() {
        let none = Allow::default();
        for host in ["111111111111.dkr.ecr.eu-central-1.amazonaws.com", "111111111111.dkr-ecr-fips.us-east-1.on.aws"] {
            assert!(none.registry(host, "111111111111"), "{host}");
        }
        // E1: host names have no case.
        let listed =
            Allow { registries: vec!["Registry.Example.com".into(), "*.dev.example.com".into()], ..none.clone() };
        for host in ["registry.example.com", "REGISTRY.example.com", "A.Dev.Example.com"] {
            assert!(listed.registry(host, "111111111111"), "{host}");
        }
        assert!(listed.names_registry("registry.Example.com") && !listed.names_registry("a.dev.example.com"));
        for host in [
            "222222222222.dkr.ecr.eu-central-1.amazonaws.com",
            "111111111111.dkr.ecr.evil.example",
            "111111111111.dkr.ecr.x.evil.example/.amazonaws.com",
            "111111111111.dkr.ecr.a.b.amazonaws.com",
            "111111111111.dkr.ecr",
            "docker.io",
        ] {
            assert!(!none.registry(host, "111111111111"), "{host}");
        }
    }

    #[test]
    fn nothing_is_readable_unless_it_is_allowed() {
        let ssm = |name: &str| Reference::Ssm { name: name.into(), version: None };
        let none = Allow::default();
        assert!(!none.reference(&ssm("/network/a")));
        assert_eq!(none.refuses_cluster("prod"), None);
        let some = Allow { clusters: Some(vec!["prod".into()]), ssm: vec!["/network/*".into()], ..Allow::default() };
        assert!(some.reference(&ssm("/network/a/b")));
        assert!(!some.reference(&ssm("/other")));
        assert!(!some.reference(&Reference::Secret { name: "/network/a".into() }));
        assert!(some.refuses_cluster("staging").is_some());
    }
}
