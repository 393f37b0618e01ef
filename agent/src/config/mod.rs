//! The agent's own file (trusted), with flags and environment variables over it. Every value knows where it comes from.

mod file;
mod images;
mod schema;
mod secret;

pub use images::{CommitConfig, ImagesConfig, RegistryConfig};
pub use schema::schema;
pub use secret::{SecretRef, resolve_secret};

use crate::{aws::AccountRole, git::Location};
use lockstep_core::allow::Allow;
use lockstep_manifests::{Diagnostic, Severity};
use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The agent's file, at this line.
    File(String, usize),
    /// A command-line flag.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::File(path, line) => write!(formatter, "{path}:{line}"),
            Origin::Flag(flag) => write!(formatter, "flag {flag}"),
            Origin::Environment(name) => write!(formatter, "environment variable {name}"),
        }
    }
}

/// A value with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    fn default_value(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }
}

/// One (repository, branch) that the agent follows.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// The stable id that ownership tags carry.
    pub id: String,
    /// Where it is declared.
    pub origin: Origin,
    /// The repository.
    pub location: Location,
    /// The branch.
    pub branch: Setting<String>,
    /// The user's name for the token.
    pub username: String,
    /// Where the token is.
    pub token: Option<SecretRef>,
    /// A private certificate authority for the repository's server.
    pub authority: Option<PathBuf>,
    /// Where the private key for `ssh://` is.
    pub ssh_key: Option<SecretRef>,
    /// The file with the key of the server for `ssh://`.
    pub known_hosts: Option<PathBuf>,
    /// How its commits look.
    pub commit: CommitConfig,
    /// The environments of the repository that this source brings; all where none are named.
    pub environments: Option<Vec<String>>,
    /// What it may reach.
    pub allow: Allow,
}

/// The agent's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentConfig {
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// What to follow.
    pub sources: Vec<SourceConfig>,
    /// Roles by account.
    pub accounts: BTreeMap<String, AccountRole>,
    /// Where the mirror and the cache are.
    pub state_directory: Setting<PathBuf>,
    /// Where the API listens.
    pub listen: Setting<SocketAddr>,
    /// Longest time between two observations.
    pub interval: Setting<Duration>,
    /// The share of AWS's documented rates that the agent uses.
    pub api_share: Setting<f64>,
    /// When registries are read, and when what they have is written.
    pub images: ImagesConfig,
    /// Registries other than ECR, by host.
    pub registries: BTreeMap<String, RegistryConfig>,
}

/// Values from flags; what is absent may come from the environment or the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--state-directory`.
    pub state_directory: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--interval`.
    pub interval: Option<String>,
    /// `--api-share`.
    pub api_share: Option<String>,
}

/// Why a configuration is not usable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// The file's problems, for the diagnostics' renderer.
    #[error("{} has errors{}", .0.display(), first(.1))]
    File(PathBuf, Vec<Diagnostic>),
    /// A flag, a variable, or the file itself.
    #[error("{0}")]
    Value(String),
}

/// The first problem with its place, for where there is one line only.
fn first(problems: &[Diagnostic]) -> String {
    let Some(problem) = problems.first() else { return String::new() };
    let place = problem.place().map_or(String::new(), |(_, line, column)| format!("line {line}, column {column}: "));
    format!(": {place}{}", problem.message)
}

impl AgentConfig {
    /// Defaults without a file.
    pub fn built_in() -> Self {
        Self {
            file: None,
            sources: Vec::new(),
            accounts: BTreeMap::new(),
            state_directory: Setting::default_value(PathBuf::from("/var/lib/lockstep")),
            listen: Setting::default_value(SocketAddr::from(([127, 0, 0, 1], 7700))),
            interval: Setting::default_value(Duration::from_secs(30)),
            api_share: Setting::default_value(0.5),
            images: ImagesConfig::default(),
            registries: BTreeMap::new(),
        }
    }

    /// Reads the file, then lays the environment and the flags over it.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or the first flag or variable that is wrong.
    pub fn load(path: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let mut config = match path {
            Some(path) => file::read(path)?,
            None => Self::built_in(),
        };
        config.overlay(flags, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        Ok(config)
    }

    /// The share of a command by hand: the file's is the agent's. A person does not wait all day, and where AWS
    /// throttles, both become slower.
    pub fn share_by_hand(&self) -> f64 {
        match self.api_share.origin {
            Origin::Flag(_) | Origin::Environment(_) => self.api_share.value,
            _ => 1.0,
        }
    }

    fn overlay(
        &mut self,
        flags: &Flags,
        environment: &dyn Fn(&'static str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let pick = |flag: Option<String>, name: &'static str, variable: &'static str| {
            flag.map(|value| (value, Origin::Flag(name)))
                .or_else(|| environment(variable).map(|value| (value, Origin::Environment(variable))))
        };
        let directory = flags.state_directory.as_ref().map(|path| path.display().to_string());
        if let Some((value, origin)) = pick(directory, "--state-directory", "LOCKSTEP_STATE_DIRECTORY") {
            self.state_directory = Setting { value: PathBuf::from(value), origin };
        }
        if let Some((value, origin)) = pick(flags.listen.clone(), "--listen", "LOCKSTEP_LISTEN") {
            let value = parse_listen(&value).map_err(|reason| wrong(&origin, &reason))?;
            self.listen = Setting { value, origin };
        }
        if let Some((value, origin)) = pick(flags.interval.clone(), "--interval", "LOCKSTEP_INTERVAL") {
            let value = parse_duration(&value).map_err(|reason| wrong(&origin, &reason))?;
            self.interval = Setting { value, origin };
        }
        if let Some((value, origin)) = pick(flags.api_share.clone(), "--api-share", "LOCKSTEP_API_SHARE") {
            let value = parse_share(&value).map_err(|reason| wrong(&origin, &reason))?;
            self.api_share = Setting { value, origin };
        }
        Ok(())
    }

    /// What `--show-config` prints: each value with its origin. Secrets are shown as where they are.
    pub fn describe(&self) -> Vec<Described> {
        let mut lines = Vec::new();
        let mut line = |name: String, value: String, origin: &Origin| {
            lines.push(Described { name, value, origin: origin.to_string() });
        };
        line("stateDirectory".into(), self.state_directory.value.display().to_string(), &self.state_directory.origin);
        line("listen".into(), self.listen.value.to_string(), &self.listen.origin);
        line("interval".into(), format_duration(self.interval.value), &self.interval.origin);
        line("apiShare".into(), self.api_share.value.to_string(), &self.api_share.origin);
        for source in &self.sources {
            let name = |member: &str| format!("sources[{}].{member}", source.id);
            let or_default = |is_written: bool| if is_written { source.origin.clone() } else { Origin::Default };
            line(name("repository"), source.location.to_string(), &source.origin);
            line(name("branch"), source.branch.value.clone(), &source.branch.origin);
            let token = source.token.as_ref().map_or("none".to_owned(), ToString::to_string);
            line(name("token"), token, &or_default(source.token.is_some()));
            line(name("username"), source.username.clone(), &or_default(source.username != DEFAULT_USERNAME));
            let authority =
                source.authority.as_ref().map_or("the system's".to_owned(), |path| path.display().to_string());
            line(name("certificateAuthority"), authority, &or_default(source.authority.is_some()));
            if let Location::Ssh(_) = source.location {
                let key = source.ssh_key.as_ref().map_or("the user's".to_owned(), ToString::to_string);
                line(name("sshKey"), key, &or_default(source.ssh_key.is_some()));
                let known =
                    source.known_hosts.as_ref().map_or("the user's".to_owned(), |path| path.display().to_string());
                line(name("knownHosts"), known, &or_default(source.known_hosts.is_some()));
            }
            let commit = &source.commit;
            let person = |person: &crate::git::Person| format!("{} <{}>", person.name, person.email);
            let is_own = *commit != CommitConfig::default();
            line(name("commit.author"), person(&commit.author), &or_default(is_own));
            line(name("commit.committer"), person(&commit.committer), &or_default(is_own));
            let key = commit.signing_key.as_ref().map_or("none".to_owned(), ToString::to_string);
            line(name("commit.signingKey"), key, &or_default(commit.signing_key.is_some()));
            let environments = source.environments.as_ref().map_or("all".to_owned(), |names| names.join(", "));
            line(name("environments"), environments, &or_default(source.environments.is_some()));
            line(name("allow"), source.allow.to_string(), &or_default(source.allow != Allow::default()));
        }
        let file = self.file.as_ref().map_or(String::new(), |path| path.display().to_string());
        let images = &self.images;
        let built_in = ImagesConfig::default();
        let mut add = |member: &str, value: String, is_default: bool| {
            let origin = if is_default { Origin::Default.to_string() } else { file.clone() };
            lines.push(Described { name: format!("images.{member}"), value, origin });
        };
        add("interval", format_duration(images.interval), images.interval == built_in.interval);
        add("quiet", format_duration(images.quiet), images.quiet == built_in.quiet);
        add("atMost", format_duration(images.at_most), images.at_most == built_in.at_most);
        add("queues", images.queues.join(", "), images.queues.is_empty());
        for (host, registry) in &self.registries {
            let password = registry.password.as_ref().map_or("none".to_owned(), ToString::to_string);
            let name = format!("registries[{host}].password");
            lines.push(Described { name, value: password, origin: file.clone() });
        }
        for (account, role) in &self.accounts {
            let mut add = |member: &str, value: &str| {
                let name = format!("accounts[{account}].{member}");
                lines.push(Described { name, value: value.to_owned(), origin: file.clone() });
            };
            add("role", &role.role);
            if let Some(external_id) = &role.external_id {
                add("externalId", external_id);
            }
        }
        for line in &mut lines {
            // A secret in a place that is not for one.
            line.value = lockstep_core::mask::line(&line.value);
        }
        lines
    }
}

/// One value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Described {
    /// Its path in the agent's file.
    pub name: String,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

impl fmt::Display for Described {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} = {}  # {}", self.name, self.value, self.origin)
    }
}

/// The user's name for a token where none is written; servers that take tokens ignore it.
const DEFAULT_USERNAME: &str = "lockstep";

fn wrong(origin: &Origin, reason: &str) -> ConfigError {
    ConfigError::Value(format!("{origin}: {reason}"))
}

/// A socket address on loopback. Any other address would need authentication, which this version does not have.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("`{text}` is not an address like 127.0.0.1:7700"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!(
            "`{text}` is not a loopback address; other addresses need authentication, which is not implemented yet"
        ))
    }
}

/// `500ms`, `30s`, `5m`, `2h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration like 30s, 5m or 2h");
    let split = text.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(bad)?;
    let amount: f64 = text[..split].parse().map_err(|_| bad())?;
    let seconds = match &text[split..] {
        "ms" => amount / 1000.0,
        "s" => amount,
        "m" => amount * 60.0,
        "h" => amount * 3600.0,
        _ => return Err(bad()),
    };
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
    if duration < Duration::from_millis(50) { Err(format!("`{text}` is too short")) } else { Ok(duration) }
}

fn format_duration(duration: Duration) -> String {
    if duration.subsec_millis() > 0 {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{}s", duration.as_secs())
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(format!("`{text}` is not a share between 0 and 1")),
    }
}

/// Whether any of a file's problems is an error.
fn is_error(problem: &Diagnostic) -> bool {
    problem.severity == Severity::Error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<AgentConfig, Vec<String>> {
        file::parse(Path::new("agent.yaml"), text).map_err(|error| match error {
            ConfigError::File(_, problems) => problems
                .iter()
                .map(|problem| {
                    let (_, line, column) = problem.place().unwrap();
                    format!("{line}:{column} {}", problem.message)
                })
                .collect(),
            ConfigError::Value(text) => vec![text],
        })
    }

    // J3: the file's share is the agent's.
    #[test]
    fn by_hand_the_share_is_all_of_it_unless_it_is_said_there() {
        let mut config = AgentConfig::built_in();
        assert_eq!(config.share_by_hand().to_bits(), 1.0f64.to_bits());
        config.api_share = Setting { value: 0.25, origin: Origin::File("agent.yaml".into(), 3) };
        assert_eq!(config.share_by_hand().to_bits(), 1.0f64.to_bits());
        let flags = Flags { api_share: Some("0.2".into()), ..Flags::default() };
        config.overlay(&flags, &|_| None).unwrap();
        assert_eq!(config.share_by_hand().to_bits(), 0.2f64.to_bits());
        config.overlay(&Flags::default(), &|name| (name == "LOCKSTEP_API_SHARE").then(|| "0.3".to_owned())).unwrap();
        assert_eq!(config.share_by_hand().to_bits(), 0.3f64.to_bits());
    }

    #[test]
    fn the_environment_is_over_the_file_and_flags_are_over_both() {
        let mut config = load("interval: 10s\nlisten: 127.0.0.1:9000\napiShare: 0.25\n").unwrap();
        let flags = Flags { listen: Some("127.0.0.1:9002".into()), ..Flags::default() };
        config
            .overlay(&flags, &|name| match name {
                "LOCKSTEP_LISTEN" => Some("127.0.0.1:9001".into()),
                "LOCKSTEP_INTERVAL" => Some("5m".into()),
                _ => None,
            })
            .unwrap();
        let lines: Vec<String> = config.describe().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines.join("\n"),
            "stateDirectory = /var/lib/lockstep  # default\n\
             listen = 127.0.0.1:9002  # flag --listen\n\
             interval = 300s  # environment variable LOCKSTEP_INTERVAL\n\
             apiShare = 0.25  # agent.yaml:3\n\
             images.interval = 60s  # default\n\
             images.quiet = 10s  # default\n\
             images.atMost = 60s  # default\n\
             images.queues =   # default"
        );
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_at_its_line() {
        let text = "sources:\n  - id: a\n    repository: https://u:p@git.example/x.git\n  - id: a\n    repositry: x\ninterval: fast\nlisten: 0.0.0.0:80\n";
        assert_eq!(
            load(text).unwrap_err(),
            vec![
                "3:17 credentials do not belong into the URL; use `token`",
                "4:5 a source needs `repository`",
                "4:9 the source `a` is defined twice",
                "5:5 a source has no key `repositry`",
                "6:11 `fast` is not a duration like 30s, 5m or 2h",
                "7:9 `0.0.0.0:80` is not a loopback address; other addresses need authentication, which is not implemented yet",
            ]
        );
    }

    #[test]
    fn an_environment_belongs_to_one_source_of_its_repository() {
        let two = |first: &str, second: &str| {
            format!(
                "sources:\n  - {{ id: a, repository: /r, environments: {first} }}\n  - {{ id: b, repository: /r, branch: x, environments: {second} }}\n"
            )
        };
        assert!(load(&two("[dev]", "[prod]")).is_ok());
        assert_eq!(
            load(&two("[dev, prod]", "[prod]")).unwrap_err(),
            vec!["3:5 environment `prod` of this repository is claimed by the source `a` already"]
        );
        assert!(load(&two("[]", "[prod]")).is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "30", "s", "-1s", "1d", "0s", "1e400s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
