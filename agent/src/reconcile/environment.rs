//! One environment's rounds: bind, observe what is due, plan, act, report. A rollout is followed by later rounds and
//! never occupies the environment.

use super::{
    Context, Orders, Timing,
    cluster::ClusterTags,
    load::{LoadedService, Snapshot},
    lookout::Lookout,
    prune::{History, Orphans},
    service::{Others, Round, Track},
    waiting::with_dependencies,
};
use crate::aws::{AwsError, Clients, Remedy};
use futures_util::{StreamExt, stream};
use lockstep_core::allow::Allow;
use lockstep_core::event::{Subject, What};
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::service::machine::{Begun, Evaluation, Ground, Now, Service, short};
use lockstep_core::state::{EnvironmentState, ServiceState};
use lockstep_core::{
    fleet::{self, condition::Conditions},
    observed::{LiveService, Reading},
    report::{Health, Reason, Withheld},
    service::plan::health_of,
    stated::identity::{self, desired_hash},
};
use lockstep_manifests::{
    Desired, Diagnostic, Environment, Mode, Rendered, Severity,
    render::bind,
    substitute::{Parameters, Reference, Resolved},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// How often a task definition without a service is compared with its family's newest revision: each costs a call, where
/// ten services cost one.
const DEFINITION_AGE: Duration = Duration::from_secs(600);
/// How long values of parameters are used before they are read again.
const PARAMETERS_AGE: Duration = Duration::from_secs(300);
/// How long a round may take at least before it leaves the rest to the next one.
const SHORTEST_ROUND: Duration = Duration::from_secs(5);
/// Services that are written at the same time.
const CONCURRENT: usize = 8;

/// A service's name with what it renders to in the environment.
type Entry = (String, Result<Arc<Rendered>, Vec<Diagnostic>>);

/// The worker of one environment.
pub(super) struct Worker {
    pub(super) source: usize,
    pub(super) source_id: String,
    allow: Allow,
    pub(super) tracks: HashMap<String, Track>,
    parameters: Option<(Instant, Parameters)>,
    bound: HashMap<String, Bound>,
    orphans: Orphans,
    cluster: ClusterTags,
    conditions: Conditions,
}

/// A service whose desired state is not known, and why.
struct Broken {
    name: String,
    reason: Reason,
    text: String,
    /// The ECS service that it was, or should be.
    ecs_name: String,
    /// Whether that is known, rather than taken from the directory.
    is_known: bool,
}

struct Bound {
    rendered: Arc<Rendered>,
    parameters: Parameters,
    result: Result<(Arc<Desired>, String), Vec<Diagnostic>>,
}

/// What a round has looked at: services by their ECS name, and evaluations that have a plan already by their own name.
pub(super) struct Looked {
    pub(super) live: BTreeMap<String, Reading<LiveService>>,
    pub(super) evaluations: HashMap<String, Box<Evaluation>>,
}

/// What a round left.
pub(super) struct Report {
    /// Whether something is under way, so that the next round should come soon.
    pub in_flight: bool,
    /// What was seen, where the round only looked.
    pub states: Vec<ServiceState>,
}

impl Worker {
    /// A worker that knows nothing yet.
    pub(super) fn new(source: usize, source_id: &str, allow: Allow) -> Self {
        Self {
            source,
            source_id: source_id.to_owned(),
            allow,
            tracks: HashMap::new(),
            parameters: None,
            bound: HashMap::new(),
            orphans: Orphans::default(),
            cluster: ClusterTags::default(),
            conditions: Conditions::default(),
        }
    }

    /// One round: what is declared is bound, what is due is read, a commit's changes first; services are planned and
    /// written in waves; then what is no longer declared. The machines in core decide.
    pub(super) async fn round(
        &mut self,
        context: &Context,
        snapshot: &Snapshot,
        environment: &Environment,
        orders: &Orders,
        history: &History,
        others: &Others,
    ) -> Report {
        let (entries, disputed) = self.entries(snapshot, environment, orders);
        let mut withheld = fleet::withheld(environment.sync.mode, snapshot.valid);
        let clients = match self.gate(context, environment).await {
            Ok(clients) => clients,
            Err((reason, text)) => {
                let plans = entries.iter().map(|(name, _)| self.unknown(name, reason, &text)).collect();
                return self.report(context, snapshot, environment, orders, plans, withheld, false);
            }
        };
        let (wanted, broken) = self.bind_all(&clients, snapshot, environment, &entries).await;
        let may_write = orders.write && snapshot.valid && (environment.sync.mode == Mode::Converge || orders.by_hand);
        let due = self.due(&wanted, context.timing, orders, may_write, &context.now(&clients));
        context.looked.add(due.len());
        let cluster = self.cluster.look(&clients, environment, !due.is_empty()).await;
        withheld.extend(cluster.says());
        let (source, allow) = (self.source_id.clone(), self.allow.clone());
        let mut round = Round {
            ground: Ground {
                environment,
                source: &source,
                commit: &snapshot.commit,
                committed_at: snapshot.committed_at,
                orders,
                may_write,
                may_adopt: allow.adopt,
                not_created: snapshot.not_created(),
                paused: cluster.pause(),
                unexplained: None,
                has_history: !clients.has_no_history(),
                interval: context.timing.interval,
            },
            context,
            clients: &clients,
            base: &snapshot.base,
            allow: &allow,
            others,
            until: Instant::now() + context.timing.interval.max(SHORTEST_ROUND),
            read_at: Instant::now(),
            lookout: Lookout::default(),
            cluster,
            history: &snapshot.history,
            brake: Mutex::new(self.brake(environment, &wanted, &BTreeMap::new())),
            all_bound: broken.is_empty(),
        };
        // A commit does not wait for the paced reads of everything else.
        let first = self.goes_first(&wanted, &due, orders);
        self.changed_first(&mut round, snapshot, &wanted, &first).await;
        let due: BTreeSet<String> = due.difference(&first).cloned().collect();
        let (mut live, mut states) = self.read(&mut round, &wanted, &due, broken, !first.is_empty()).await;
        self.read_rollouts(&clients, &wanted, &due, &mut live).await;
        round.brake = Mutex::new(self.brake(environment, &wanted, &live));
        round.ground.has_history = !clients.has_no_history();
        let evaluations = self.count_unexplained(&mut round, snapshot, &wanted, &due, &live).await;
        let mut looked = Looked { live, evaluations };
        let declared = self.run_waves(&round, snapshot, &wanted, &due, &mut looked, &states).await;
        let orphans = self.undeclared(&round, snapshot, &wanted, &declared, history).await;
        states.extend(declared);
        for (name, problem) in &disputed {
            let text = invalid(std::slice::from_ref(problem), snapshot, name);
            states.push(self.unknown(name, Reason::Invalid, &text));
        }
        let known: BTreeSet<String> = states.iter().map(|state| state.plan.name.clone()).collect();
        let removing = orphans.iter().any(|state| state.plan.is_removing());
        states.extend(orphans.into_iter().filter(|state| !known.contains(&state.plan.name)));
        let in_flight = removing || states.iter().any(|state| fleet::is_in_flight(&state.plan, may_write));
        self.report(context, snapshot, environment, orders, states, withheld, in_flight)
    }

    /// The services that are meant, with what they wait for, and those whose environments are in dispute. What is
    /// remembered of others is forgotten.
    fn entries(
        &mut self,
        snapshot: &Snapshot,
        environment: &Environment,
        orders: &Orders,
    ) -> (Vec<Entry>, Vec<(String, Diagnostic)>) {
        let covered = with_dependencies(snapshot, &environment.name, orders);
        let meant = snapshot.services.iter().filter(|service| covered.contains(&service.directory.name));
        let entry = |service: &Arc<LoadedService>| {
            Some((service.directory.name.clone(), service.environments.get(&environment.name)?.clone()))
        };
        let entries: Vec<Entry> = meant.filter_map(entry).collect();
        let mut disputed = snapshot.disputed_in(&environment.name);
        disputed.retain(|(name, _)| orders.covers(name));
        let names = entries.iter().map(|(name, _)| name.as_str());
        let names: HashSet<&str> = names.chain(disputed.iter().map(|(name, _)| name.as_str())).collect();
        self.tracks.retain(|name, _| names.contains(name.as_str()));
        self.bound.retain(|name, _| names.contains(name.as_str()));
        (entries, disputed)
    }

    /// The desired states with their hashes, by name, and the services that have none.
    async fn bind_all(
        &mut self,
        clients: &Clients,
        snapshot: &Snapshot,
        environment: &Environment,
        entries: &[Entry],
    ) -> (BTreeMap<String, (Arc<Desired>, String)>, Vec<Broken>) {
        let parameters = self.read_parameters(clients, entries).await;
        let (mut wanted, mut broken) = (BTreeMap::new(), Vec::new());
        for (at, (name, rendered)) in entries.iter().enumerate() {
            if at % 16 == 15 {
                // Binding takes its time: what runs on this thread beside it is not kept waiting.
                tokio::task::yield_now().await;
            }
            // A service without parameters does not need them.
            let is_free = rendered.as_ref().is_ok_and(|rendered| rendered.references.is_empty());
            let bound = match &parameters {
                Err(error) if !is_free && rendered.is_ok() => Err((Reason::Unread, error.to_string())),
                known => {
                    let none = Parameters::new();
                    self.bind(name, rendered, environment, known.as_ref().unwrap_or(&none))
                        .map_err(|problems| (Reason::Invalid, invalid(&problems, snapshot, name)))
                }
            };
            match bound {
                Ok(desired) => {
                    wanted.insert(name.clone(), desired);
                }
                Err((reason, text)) => broken.push(self.broken(snapshot, environment, name, reason, text)),
            }
        }
        (wanted, broken)
    }

    /// Reads the services that are due, and those whose desired state is not known: health needs no manifest. Returns
    /// what was read, and the states of the latter.
    async fn read(
        &mut self,
        round: &mut Round<'_>,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        due: &BTreeSet<String>,
        broken: Vec<Broken>,
        at_leisure: bool,
    ) -> (BTreeMap<String, Reading<LiveService>>, Vec<ServiceState>) {
        let names = due.iter().filter_map(|name| Some(wanted[name].0.ecs_service()?.to_owned()));
        let names: Vec<String> = names.chain(broken.iter().map(|broken| broken.ecs_name.clone())).collect();
        let (clients, cluster) = (round.clients, &round.ground.environment.cluster);
        let mut live = match at_leisure {
            true => clients.services_at_leisure(cluster, &names).await,
            false => clients.services(cluster, &names).await,
        };
        round.read_at = Instant::now();
        let mut states = Vec::new();
        for broken in broken {
            let reading = live.remove(&broken.ecs_name).unwrap_or_default();
            states.push(self.health_alone(clients, round.ground.environment, broken, &reading));
        }
        (live, states)
    }

    /// The services that are no longer declared, where all are looked at.
    async fn undeclared(
        &mut self,
        round: &Round<'_>,
        snapshot: &Snapshot,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        states: &[ServiceState],
        history: &History,
    ) -> Vec<ServiceState> {
        let (orders, environment) = (round.ground.orders, round.ground.environment);
        let all = orders.services.is_empty() && !orders.adopt && snapshot.valid;
        if !all || !(orders.orphans || environment.sync.prune) {
            return Vec::new();
        }
        // Names may hold parameters: what was bound is what is declared.
        let mut declared = snapshot.declared(&environment.name);
        declared.extend(wanted.values().map(|(desired, _)| desired.service_name.clone()));
        let undeployed = states.iter().find(|state| fleet::is_undeployed(&state.plan));
        let undeployed = undeployed.map(|state| state.plan.name.as_str());
        self.orphans.round(round, snapshot, &declared, undeployed, history).await
    }

    /// What must hold before anything is read: the allow-list, and the account.
    async fn gate(&self, context: &Context, environment: &Environment) -> Result<Arc<Clients>, (Reason, String)> {
        if let Some(text) = self.allow.refuses_cluster(&environment.cluster) {
            return Err((Reason::NotAllowed, text));
        }
        let clients = context.accounts.clients(&environment.account, &environment.region).await;
        clients.check_account().await.map_err(|error| match error.remedy {
            Remedy::WrongAccount => {
                let place = environment.account_place();
                (Reason::WrongAccount, format!("{place}: account {}: {}", environment.account, error.text))
            }
            _ => (Reason::Unread, error.to_string()),
        })?;
        Ok(clients)
    }

    async fn read_parameters(&mut self, clients: &Clients, entries: &[Entry]) -> Result<Parameters, AwsError> {
        let mut wanted: Vec<Reference> = entries
            .iter()
            .filter_map(|(_, rendered)| rendered.as_ref().ok())
            .flat_map(|rendered| rendered.references.iter().map(|(reference, _)| reference.clone()))
            .collect();
        wanted.sort();
        wanted.dedup();
        if let Some((at, known)) = &self.parameters
            && at.elapsed() < PARAMETERS_AGE
            && wanted.iter().all(|reference| known.contains_key(reference))
        {
            return Ok(known.clone());
        }
        let (allowed, refused): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|reference| self.allow.reference(reference));
        let mut parameters = clients.parameters(&allowed).await?;
        for reference in refused {
            let list = if matches!(reference, Reference::Ssm { .. }) { "allow.ssm" } else { "allow.secrets" };
            let text = format!("the agent's file does not allow the source {} to read it ({list})", self.source_id);
            parameters.insert(reference, Resolved::Refused(text));
        }
        self.parameters = Some((Instant::now(), parameters.clone()));
        Ok(parameters)
    }

    /// The desired state, bound again only when its files or its parameters changed.
    fn bind(
        &mut self,
        name: &str,
        rendered: &Result<Arc<Rendered>, Vec<Diagnostic>>,
        environment: &Environment,
        parameters: &Parameters,
    ) -> Result<(Arc<Desired>, String), Vec<Diagnostic>> {
        let rendered = rendered.as_ref().map_err(Clone::clone)?;
        let used: Parameters = rendered
            .references
            .iter()
            .filter_map(|(reference, _)| Some((reference.clone(), parameters.get(reference)?.clone())))
            .collect();
        if let Some(bound) = self.bound.get(name)
            && Arc::ptr_eq(&bound.rendered, rendered)
            && bound.parameters == used
        {
            return bound.result.clone();
        }
        let result = bind(rendered, environment, &used).map(|desired| {
            let hash = desired_hash(&desired);
            (Arc::new(desired), hash)
        });
        let bound = Bound { rendered: rendered.clone(), parameters: used, result: result.clone() };
        self.bound.insert(name.to_owned(), bound);
        result
    }

    /// The services to observe now: new or changed ones, those under way, and those not looked at for an interval.
    fn due(
        &self,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        timing: Timing,
        orders: &Orders,
        may_write: bool,
        now: &Now,
    ) -> BTreeSet<String> {
        let is_due = |name: &String, desired: &Desired, hash: &String| {
            let Some(track) = self.tracks.get(name).map(|track| &track.machine) else { return true };
            // What nobody may start does not move by itself.
            let is_open = track.follows() || (may_write && track.is_open());
            let limit = match desired.ecs_service() {
                _ if is_open => timing.follow,
                Some(_) => timing.interval,
                None => timing.interval.max(DEFINITION_AGE),
            };
            orders.everything || track.is_due(hash, limit, now)
        };
        let due = wanted.iter().filter(|(name, (desired, hash))| is_due(name, desired, hash));
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Plans and acts in the order of `after`: a wave holds what waits for nothing of a later one.
    pub(super) async fn run_waves(
        &mut self,
        round: &Round<'_>,
        snapshot: &Snapshot,
        wanted: &BTreeMap<String, (Arc<Desired>, String)>,
        due: &BTreeSet<String>,
        looked: &mut Looked,
        invalid: &[ServiceState],
    ) -> Vec<ServiceState> {
        // What waits for a service with errors goes on waiting.
        let mut done: BTreeMap<String, ServiceState> =
            invalid.iter().map(|state| (state.plan.name.clone(), state.clone())).collect();
        let mut rest: Vec<&String> = wanted.keys().collect();
        while !rest.is_empty() {
            let is_ready = |name: &String| {
                wanted[name].0.after.iter().all(|other| !wanted.contains_key(other) || done.contains_key(other))
            };
            let (ready, later): (Vec<&String>, Vec<&String>) = rest.iter().partition(|name| is_ready(name));
            // A circle is an error of the manifests and never gets here; if it did, nobody would wait for ever.
            let (wave, later) = if ready.is_empty() { (later, Vec::new()) } else { (ready, later) };
            let (mut settled, mut jobs) = (Vec::new(), Vec::new());
            for name in wave {
                let (desired, hash) = &wanted[name];
                let mut track = self.tracks.remove(name).unwrap_or_default();
                if !due.contains(name)
                    && let Some(state) = track.machine.as_of(&snapshot.commit)
                {
                    done.insert(name.clone(), state);
                    self.tracks.insert(name.clone(), track);
                    continue;
                }
                let waiting = self.waiting_for(round, snapshot, desired, &done);
                let reading = desired.ecs_service().and_then(|name| looked.live.remove(name)).unwrap_or_default();
                let evaluation = looked.evaluations.remove(name);
                let mut images = self.brought_by_others(snapshot, desired, hash, &track);
                if !images.is_empty()
                    && let Some(in_use) =
                        reading.found().and_then(|it| round.context.cache.revision(&it.task_definition))
                {
                    // What runs was pulled.
                    images.retain(|image| !image.is_in(&in_use.definition));
                }
                // What ECS rejected, and what became of what is under way, is known before anything else is started.
                let rejected = |live: &LiveService| {
                    let tag = live.tags.get(identity::REJECTED);
                    tag.is_some_and(|tag| identity::Rejected::parse(tag).is_of(desired, hash))
                };
                let first = track.machine.follows() || reading.found().is_some_and(rejected);
                let jobs = if first { &mut settled } else { &mut jobs };
                jobs.push(async move {
                    let begun = match (evaluation, waiting) {
                        (Some(evaluation), _) => Begun::Evaluation(evaluation),
                        (None, Some(waiting)) => round.begin(desired, hash, reading, Some(waiting), &mut track),
                        (None, None) => {
                            let waiting = round.image_not_shown(&images, hash, &mut track).await;
                            round.begin(desired, hash, reading, waiting, &mut track)
                        }
                    };
                    let state = match begun {
                        Begun::Over(state) => *state,
                        Begun::Evaluation(evaluation) => round.service(desired, hash, evaluation, &mut track).await,
                    };
                    round.context.looked.one();
                    (name.clone(), state, track)
                });
            }
            let mut results: Vec<_> = stream::iter(settled).buffer_unordered(CONCURRENT).collect().await;
            results.extend(stream::iter(jobs).buffer_unordered(CONCURRENT).collect::<Vec<_>>().await);
            for (name, state, track) in results {
                done.insert(name.clone(), state);
                self.tracks.insert(name, track);
            }
            rest = later;
        }
        done.into_iter().filter(|(name, _)| wanted.contains_key(name)).map(|(_, state)| state).collect()
    }

    /// A plan that concludes nothing; the last verdict stays.
    fn unknown(&mut self, name: &str, reason: Reason, text: &str) -> ServiceState {
        let mut state = self.unplanned(name, Health::Unknown, reason, text);
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.keep_unplanned(&mut state, &now);
        state
    }

    fn unplanned(&self, name: &str, health: Health, reason: Reason, text: &str) -> ServiceState {
        let unknown = Service::default();
        let machine = self.tracks.get(name).map_or(&unknown, |track| &track.machine);
        machine.unplanned(name, health, reason, text)
    }

    fn keep_unplanned(&mut self, state: &mut ServiceState, now: &str) {
        self.tracks.entry(state.plan.name.clone()).or_default().machine.keep_unplanned(state, now);
    }

    /// A service whose desired state is not known, with the ECS service that it was when that was known.
    fn broken(
        &self,
        snapshot: &Snapshot,
        environment: &Environment,
        name: &str,
        reason: Reason,
        text: String,
    ) -> Broken {
        let remembered = self.tracks.get(name).and_then(|track| Some(track.machine.ecs_name()?.to_owned()));
        let declared = || snapshot.ecs_name(&environment.name, name).filter(|known| !known.contains("${{"));
        let known = remembered.or_else(declared);
        let is_known = known.is_some();
        Broken { name: name.to_owned(), reason, text, ecs_name: known.unwrap_or_else(|| name.to_owned()), is_known }
    }

    /// What runs of a service whose desired state is not known. Where only the directory names it, its tags must say
    /// that it is this one.
    fn health_alone(
        &mut self,
        clients: &Clients,
        environment: &Environment,
        broken: Broken,
        reading: &Reading<LiveService>,
    ) -> ServiceState {
        let Broken { name, reason, text, ecs_name, is_known } = broken;
        let is_ours = |live: &LiveService| {
            live.tags.contains_key(identity::SOURCE)
                && identity::owner(&live.tags, &self.source_id, &environment.name, &ecs_name) == identity::Owner::Us
        };
        let found =
            reading.found().filter(|live| live.status != ServiceStatus::Inactive && (is_known || is_ours(live)));
        let now = jiff::Timestamp::from_second(clients.now()).map(|now| now.to_string()).unwrap_or_default();
        let mut state = self.unplanned(&name, found.map_or(Health::Unknown, health_of), reason, &text);
        if let Some(live) = found {
            state.revision = short(&live.task_definition);
            (state.running, state.desired_count) = (Some(live.running), Some(live.desired));
            state.observed_at.clone_from(&now);
        } else if let Reading::Failed(reason) = reading {
            state.plan.withheld.push(Withheld { reason: Reason::Unread, text: reason.clone(), changes: Vec::new() });
        }
        self.keep_unplanned(&mut state, &now);
        state
    }

    /// Publishes what was ordered to be looked at. What was looked at because something waits for it is answered alone.
    #[expect(clippy::too_many_arguments, reason = "it is the end of a round, and takes what the round has found")]
    fn report(
        &mut self,
        context: &Context,
        snapshot: &Snapshot,
        environment: &Environment,
        orders: &Orders,
        services: Vec<ServiceState>,
        withheld: Vec<Withheld>,
        in_flight: bool,
    ) -> Report {
        if orders.only_looks {
            return Report { in_flight: false, states: services };
        }
        let meant = services.into_iter().filter(|state| {
            let is_declared = snapshot.services.iter().any(|service| service.directory.name == state.plan.name);
            !is_declared || orders.covers(&state.plan.name)
        });
        self.publish(context, snapshot, environment, meant.collect(), withheld);
        Report { in_flight, states: Vec::new() }
    }

    fn publish(
        &mut self,
        context: &Context,
        snapshot: &Snapshot,
        environment: &Environment,
        mut services: Vec<ServiceState>,
        withheld: Vec<Withheld>,
    ) {
        services.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
        for service in &mut services {
            service.plan.at = snapshot.at(&environment.name, &service.plan.name).cloned();
        }
        for change in self.conditions.take(services.iter().map(|state| &state.plan)) {
            let commit = snapshot.commit.clone();
            let of = Subject { commit, environment: environment.name.clone(), ..Subject::source(&self.source_id) };
            context.tell_now(of, What::from(change));
        }
        let state = EnvironmentState {
            name: environment.name.clone(),
            account: environment.account.clone(),
            region: environment.region.clone(),
            cluster: environment.cluster.clone(),
            mode: environment.sync.mode,
            services,
            withheld,
        };
        let order: Vec<&String> = snapshot.repository.environments.keys().collect();
        context.board.update(self.source, |source| {
            source.environments.retain(|other| other.name != state.name);
            source.environments.push(state);
            source.environments.sort_by_key(|environment| order.iter().position(|name| **name == environment.name));
        });
    }
}

/// Why a service's desired state is not known: the first error of its files, with its place.
fn invalid(problems: &[Diagnostic], snapshot: &Snapshot, name: &str) -> String {
    let of_files = || {
        let directory = snapshot.services.iter().find(|loaded| loaded.directory.name == name)?;
        let prefix = format!("{}/", directory.directory.path);
        snapshot.problems.iter().find(|problem| {
            problem.severity == Severity::Error && problem.place().is_some_and(|(file, ..)| file.starts_with(&prefix))
        })
    };
    match problems.first().or_else(of_files) {
        Some(problem) => {
            let place = problem.place().map_or(String::new(), |(file, line, _)| format!("{file}:{line}: "));
            format!("the manifest has errors: {place}{}", problem.message)
        }
        None => "the manifest has errors".to_owned(),
    }
}
