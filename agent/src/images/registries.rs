//! Registries as they are read: ECR by its API, others by the distribution API. What was read is shared by all sources
//! and services, and read again when it is old or when somebody pushed.

use crate::{
    aws::{Accounts, Contents, EcrImage, ImageId, Remedy, TagEntry, configured, contents},
    config::{RegistryConfig, resolve_secret},
    oci::{self, OciError},
};
use lockstep_core::allow::Allow;
use lockstep_core::images::{Candidate, EcrRegistry, Labels, Verified};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Most tags of a repository that are kept.
const MOST_TAGS: usize = 200_000;
/// Listings that are kept; when there are more, all are read anew.
const MOST_LISTINGS: usize = 5_000;
/// Images of which is known what they are; more than that are forgotten.
const MOST_FACTS: usize = 10_000;

/// A repository of images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In ECR.
    Ecr {
        /// The registry: an account.
        account: String,
        /// Its region.
        region: String,
        /// The repository's name.
        repository: String,
    },
    /// In another registry.
    Other {
        /// The registry's host.
        host: String,
        /// The repository's name.
        repository: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecr { account, region, repository } => {
                let registry = EcrRegistry { account: account.clone(), region: region.clone() };
                write!(formatter, "{}/{repository}", registry.host())
            }
            Self::Other { host, repository } => write!(formatter, "{host}/{repository}"),
        }
    }
}

impl Place {
    /// The place of an image's repository, if a source may reach it for an environment of this account.
    ///
    /// # Errors
    /// A sentence.
    pub fn of(repository: &str, allow: &Allow, account: &str) -> Result<Self, String> {
        if repository.contains("${{") {
            return Err(format!("the repository {repository} depends on a parameter"));
        }
        let refuse =
            |host: &str| Err(format!("the agent's file does not allow the registry {host} (allow.registries)"));
        if let Some(image) = EcrImage::parse(repository) {
            return if allow.registry(&image.host, account) {
                Ok(Self::Ecr { account: image.id.account, region: image.region, repository: image.id.repository })
            } else {
                refuse(&image.host)
            };
        }
        let (host, name) = oci::split(repository);
        if allow.registry(&host, account) { Ok(Self::Other { host, repository: name }) } else { refuse(&host) }
    }
}

impl Place {
    /// The registry's host.
    pub fn host(&self) -> String {
        match self {
            Self::Ecr { account, region, .. } => {
                EcrRegistry { account: account.clone(), region: region.clone() }.host()
            }
            Self::Other { host, .. } => host.clone(),
        }
    }
}

/// What is read of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    /// All tags.
    All,
    /// What one tag points at.
    Tag(String),
}

/// The tags of a repository.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tags, in the order of their names.
    pub candidates: Arc<Vec<Candidate>>,
    /// Whether the registry tells when images were pushed.
    pub has_push_times: bool,
    /// The registry's time when it was read, epoch seconds.
    pub now: i64,
    /// Which push it is after.
    generation: u64,
    read_at: Instant,
}

/// What an image is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its digest.
    pub digest: String,
    /// What it is.
    pub verified: Verified,
    /// Where it comes from, as far as its own documents tell.
    pub labels: Labels,
    /// The digests of its images, where it is an index.
    pub parts: Vec<String>,
    /// Why its platforms could not be read now.
    pub failure: Option<String>,
}

type Key = (Place, Want);
/// One listing, held while it is read.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Listing>>>>;

/// Calls that are made to one registry at one time. One that does not answer keeps no other waiting.
const AT_ONCE: usize = 8;

/// All registries.
#[derive(Default)]
pub struct Registries {
    settings: Mutex<BTreeMap<String, RegistryConfig>>,
    listings: tokio::sync::Mutex<HashMap<Key, Slot>>,
    facts: Mutex<HashMap<(Place, String), Arc<Facts>>>,
    others: Mutex<HashMap<(String, bool), Arc<oci::Registry>>>,
    /// Pushes that were heard of, by repository.
    pushes: Mutex<HashMap<Place, u64>>,
    generation: AtomicU64,
    /// What is being read by tasks of its own.
    reading: Mutex<HashSet<Key>>,
    /// What each registry may be asked at one time.
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Since when repositories cannot be read, epoch seconds.
    unreadable: Mutex<HashMap<Place, i64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registries {
    /// Takes what the agent's file says of registries from now on.
    pub fn configure(&self, settings: BTreeMap<String, RegistryConfig>) {
        let mut known = lock(&self.settings);
        if *known != settings {
            *known = settings;
            lock(&self.others).clear();
        }
    }

    /// Begins to read a repository; none where that is being done. The reading ends when what is answered is dropped.
    pub(super) fn begin(self: &Arc<Self>, place: &Place, want: &Want) -> Option<Reading> {
        let key = (place.clone(), want.clone());
        lock(&self.reading).insert(key.clone()).then(|| Reading { registries: self.clone(), key })
    }

    /// Waits until the registry of a repository may be asked.
    async fn turn(&self, place: &Place) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut turns = lock(&self.turns);
            turns.entry(place.host()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        turns.acquire_owned().await.ok()
    }

    /// Somebody pushed: what was read of the repository is old. Answers the number of the push.
    pub fn pushed(&self, place: &Place) -> u64 {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let mut pushes = lock(&self.pushes);
        // Whoever may write into the queue may name any repository; what is forgotten is polled all the same.
        if pushes.len() >= MOST_LISTINGS {
            pushes.clear();
        }
        pushes.insert(place.clone(), generation);
        generation
    }

    /// For how long a repository has been unreadable, in seconds, now that it could not be read again.
    pub fn unreadable_for(&self, place: &Place, now: i64) -> i64 {
        let mut unreadable = lock(&self.unreadable);
        now.saturating_sub(*unreadable.entry(place.clone()).or_insert(now))
    }

    /// A repository could be read.
    pub fn was_read(&self, place: &Place) {
        lock(&self.unreadable).remove(place);
    }

    /// A number that grows with each push that is heard of.
    pub fn pushes(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The tags of a repository, not older than `age`.
    ///
    /// # Errors
    /// A sentence with what helps.
    pub async fn list(
        &self,
        accounts: &Accounts,
        place: &Place,
        want: &Want,
        allow: &Allow,
        age: Duration,
    ) -> Result<Arc<Listing>, String> {
        let slot = {
            let mut listings = self.listings.lock().await;
            if listings.len() >= MOST_LISTINGS {
                listings.clear();
            }
            listings.entry((place.clone(), want.clone())).or_default().clone()
        };
        // Held while it is read: who wants the same waits for it.
        let mut slot = slot.lock().await;
        let pushed = lock(&self.pushes).get(place).copied().unwrap_or_default();
        if let Some(listing) = slot.as_ref()
            && listing.read_at.elapsed() < age
            && listing.generation >= pushed
        {
            return Ok(listing.clone());
        }
        let _turn = self.turn(place).await;
        let generation = self.generation.load(Ordering::SeqCst);
        let read_at = Instant::now();
        let (candidates, has_push_times, now) = match place {
            Place::Ecr { account, region, repository } => {
                let clients = accounts.clients(account, region).await;
                let entries = match want {
                    Want::All => clients.image_tags(account, repository).await,
                    Want::Tag(tag) => {
                        clients.image_tag(account, repository, tag).await.map(|entry| entry.into_iter().collect())
                    }
                };
                let entries = entries.map_err(|error| explained(place, &error))?;
                (entries.into_iter().map(candidate).collect::<Vec<_>>(), true, clients.now())
            }
            Place::Other { host, repository } => {
                let registry = self.other(accounts, host, allow).await?;
                let tags: Vec<(String, Option<String>)> = match want {
                    Want::All => {
                        let tags = registry.tags(repository).await.map_err(|error| self.failed(host, &error))?;
                        tags.into_iter().map(|tag| (tag, None)).collect()
                    }
                    Want::Tag(tag) => match registry.manifest(repository, tag).await {
                        Ok(Some(manifest)) => vec![(tag.clone(), Some(manifest.digest))],
                        Ok(None) | Err(OciError::NotFound { .. }) => Vec::new(),
                        Err(error) => return Err(self.failed(host, &error)),
                    },
                };
                let candidates = tags.into_iter().map(|(tag, digest)| Candidate {
                    artifact: crate::aws::attached(&tag),
                    tag,
                    digest,
                    pushed_at: None,
                    absent_in: None,
                });
                (candidates.collect(), false, jiff::Timestamp::now().as_second())
            }
        };
        let mut candidates = candidates;
        candidates.sort_by(|a, b| a.tag.cmp(&b.tag));
        candidates.dedup_by(|a, b| a.tag == b.tag);
        if candidates.len() > MOST_TAGS {
            return Err(format!("{place} has more than {MOST_TAGS} tags"));
        }
        // A list that is the same still is the same for whoever kept it.
        let known = slot.as_ref().map(|listing| &listing.candidates).filter(|known| ***known == candidates);
        let candidates = known.cloned().unwrap_or_else(|| Arc::new(candidates));
        let listing = Arc::new(Listing { candidates, has_push_times, now, generation, read_at });
        *slot = Some(listing.clone());
        Ok(listing)
    }

    /// Whether it is known what an image is: then nobody has to be asked.
    pub fn knows(&self, place: &Place, candidate: &Candidate) -> bool {
        let Some(digest) = &candidate.digest else { return false };
        lock(&self.facts).contains_key(&(place.clone(), digest.clone()))
    }

    /// What the image of a tag is. None where it is not there any more.
    ///
    /// # Errors
    /// A sentence with what helps.
    pub async fn facts(
        &self,
        accounts: &Accounts,
        place: &Place,
        candidate: &Candidate,
        allow: &Allow,
    ) -> Result<Option<Arc<Facts>>, String> {
        if let Some(digest) = &candidate.digest
            && let Some(known) = lock(&self.facts).get(&(place.clone(), digest.clone()))
        {
            return Ok(Some(known.clone()));
        }
        let _turn = self.turn(place).await;
        let found = match place {
            Place::Ecr { account, region, repository } => {
                let clients = accounts.clients(account, region).await;
                let digest = candidate.digest.clone().unwrap_or_default();
                let id =
                    ImageId { account: account.clone(), repository: repository.clone(), reference: digest.clone() };
                let image = clients.image(&id).await.map_err(|error| explained(place, &error))?;
                image.map(|image| (digest, image))
            }
            Place::Other { host, repository } => {
                let registry = self.other(accounts, host, allow).await?;
                // What was listed is what is looked at, even if the tag is moved meanwhile.
                let reference = candidate.digest.as_ref().unwrap_or(&candidate.tag);
                let manifest =
                    registry.manifest(repository, reference).await.map_err(|error| self.failed(host, &error))?;
                match manifest {
                    None => None,
                    Some(manifest) => {
                        let key = (place.clone(), manifest.digest.clone());
                        if let Some(known) = lock(&self.facts).get(&key) {
                            return Ok(Some(known.clone()));
                        }
                        let body: Value = serde_json::from_slice(&manifest.body).unwrap_or_default();
                        let image = match contents(&body) {
                            Contents::Whole(image) => image,
                            Contents::Configured(digest, labels) => match registry.blob(repository, &digest).await {
                                Ok(bytes) => configured(&bytes, labels),
                                Err(error) => crate::aws::Image::unread(error.to_string(), labels),
                            },
                        };
                        Some((manifest.digest, image))
                    }
                }
            }
        };
        let Some((digest, image)) = found else { return Ok(None) };
        let is_complete = image.platforms.is_ok();
        let verified = match image.artifact {
            Some(what) => Verified::NotAnImage(what),
            None => Verified::Image(image.platforms),
        };
        let labels = Labels::read(&image.labels);
        let failure = match &verified {
            Verified::Image(Err(reason)) if image.failed => Some(format!("{place}: {reason}")),
            _ => None,
        };
        let facts = Arc::new(Facts { digest: digest.clone(), verified, labels, parts: image.parts, failure });
        if is_complete {
            let mut known = lock(&self.facts);
            if known.len() >= MOST_FACTS {
                known.clear();
            }
            known.insert((place.clone(), digest), facts.clone());
        }
        Ok(Some(facts))
    }

    /// Where an image comes from. Builders leave the labels of an index in the configurations of its images; the first
    /// one's are read where the index says nothing itself. None where they cannot be read now.
    pub async fn labels(&self, accounts: &Accounts, place: &Place, facts: &Facts, allow: &Allow) -> Option<Labels> {
        let Some(part) = facts.parts.first().filter(|_| facts.labels == Labels::default()) else {
            return Some(facts.labels.clone());
        };
        let part = Candidate {
            tag: String::new(),
            digest: Some(part.clone()),
            pushed_at: None,
            artifact: None,
            absent_in: None,
        };
        match self.facts(accounts, place, &part, allow).await {
            Ok(found) => Some(found.map(|found| found.labels.clone()).unwrap_or_default()),
            Err(reason) => {
                tracing::debug!(%place, reason, "the labels of an image cannot be read");
                None
            }
        }
    }

    /// A failure in words. Credentials that are refused may have been rotated: they are read again next time.
    fn failed(&self, host: &str, error: &OciError) -> String {
        if matches!(error, OciError::Denied { .. }) {
            lock(&self.others).retain(|(known, _), _| known != host);
        }
        error.to_string()
    }

    /// The client of a registry. One that only a glob allows must not have a private address.
    async fn other(&self, accounts: &Accounts, host: &str, allow: &Allow) -> Result<Arc<oci::Registry>, String> {
        let settings = lock(&self.settings).get(host).cloned();
        let exact = settings.is_some() || allow.names_registry(host);
        let key = (host.to_owned(), exact);
        if let Some(known) = lock(&self.others).get(&key) {
            return Ok(known.clone());
        }
        let settings = settings.unwrap_or_default();
        let credentials = match (&settings.username, &settings.password) {
            (Some(username), Some(password)) => Some(oci::Credentials {
                username: username.clone(),
                password: oci::Password::new(resolve_secret(password, accounts).await?),
            }),
            _ => None,
        };
        let access = oci::Access {
            insecure: settings.insecure,
            exact,
            credentials,
            token_hosts: settings.token_hosts,
            blob_hosts: settings.blob_hosts,
            authority: settings.authority,
        };
        let registry = Arc::new(oci::Registry::new(host, access).map_err(|error| error.to_string())?);
        lock(&self.others).insert(key, registry.clone());
        Ok(registry)
    }
}

/// A repository that is being read.
pub(super) struct Reading {
    registries: Arc<Registries>,
    key: Key,
}

impl Drop for Reading {
    fn drop(&mut self) {
        lock(&self.registries.reading).remove(&self.key);
    }
}

impl Listing {
    /// Whether it was read after a push.
    pub fn is_after(&self, push: u64) -> bool {
        self.generation >= push
    }
}

fn candidate(entry: TagEntry) -> Candidate {
    Candidate {
        tag: entry.tag,
        digest: Some(entry.digest),
        pushed_at: entry.pushed_at,
        artifact: entry.artifact,
        absent_in: None,
    }
}

/// A refusal with what helps: another account's repository needs its owner's consent.
fn explained(place: &Place, error: &crate::aws::AwsError) -> String {
    match (error.remedy, place) {
        (Remedy::Denied, Place::Ecr { account, .. }) => format!(
            "{error}; name a role for account {account} under `accounts:` in the agent's file, or let the repository's policy allow it"
        ),
        (Remedy::NotFound, _) => format!("the repository {place} is not there ({error})"),
        _ => error.to_string(),
    }
}
