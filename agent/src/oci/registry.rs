//! A registry: its tags, manifests and blobs.

use super::{
    Access, Credentials, OciError,
    challenge::{Challenge, choose},
    http::{Answer, Authorization, Failure, Http},
    names::{digest_of, is_repository},
    token::{Grant, Token, Tokens},
    trust::{Place, Trust, name},
};
use lockstep_manifests::pins::{is_digest, is_tag};
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderName, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use std::{
    collections::HashSet,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Tags that a page is asked for; many registries hand out fewer.
const PAGE: usize = 1000;
const MOST_PAGES: usize = 200;
/// Longest page of tags, and longest all of them, in bytes.
const LONGEST_PAGE: usize = 8 * 1024 * 1024;
const LONGEST_TAGS: usize = 32 * 1024 * 1024;
/// Longest that all pages may take.
const PATIENCE: Duration = Duration::from_secs(120);
const LONGEST_MANIFEST: usize = 4 * 1024 * 1024;
const LONGEST_BLOB: usize = 1024 * 1024;
const LONGEST_GRANT: usize = 256 * 1024;
/// Longest that a registry may ask to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// Longest wait in the middle of a listing, and how often; a longer one is for the next look.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const MOST_PAUSES: usize = 3;
/// Manifests that are understood: indexes before single ones.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A manifest, or an index of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of the body, which is what was hashed.
    pub digest: String,
    /// What kind it is.
    pub media_type: String,
    /// The bytes as the registry sent them.
    pub body: Vec<u8>,
}

/// A registry that is read from. Tokens are kept in it: one that lives asks for fewer.
pub struct Registry {
    trust: Trust,
    http: Http,
    credentials: Option<Credentials>,
    tokens: Mutex<Tokens>,
    /// Whether it asked for user and password itself.
    is_basic: AtomicBool,
    /// Until when it is left alone, and how long it asked for that.
    rest: Mutex<Option<(Instant, Duration)>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Registry({}, …)", self.trust.host)
    }
}

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Refusals {
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
}

impl Registry {
    /// A registry by its host, with or without a port. `docker.io` is Docker Hub. Nothing is asked yet.
    ///
    /// # Errors
    /// When this is no host, or its certificate authority cannot be read.
    pub fn new(host: &str, access: Access) -> Result<Self, OciError> {
        let trust = Trust::new(host, &access)?;
        let http = Http::new(host, access.authority.as_deref())?;
        let credentials = access.credentials;
        let is_basic = AtomicBool::new(false);
        Ok(Self { trust, http, credentials, tokens: Mutex::default(), is_basic, rest: Mutex::default() })
    }

    /// All tags of a repository, in the registry's order. What is no tag by the grammar is left out.
    ///
    /// # Errors
    /// As the variants of [`OciError`] say; also when there are more than anybody would want to read.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, OciError> {
        let pages = self.pages_of_tags(self.checked(repository)?);
        tokio::time::timeout(PATIENCE, pages)
            .await
            .unwrap_or_else(|_| Err(self.unreachable("its tags did not arrive in time")))
    }

    /// A manifest by its tag or its digest. None where there is no such one, or no such repository.
    ///
    /// # Errors
    /// As the variants of [`OciError`] say; also when the manifest is not the one that its digest says.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Manifest>, OciError> {
        let repository = self.checked(repository)?;
        if !is_digest(reference) && !is_tag(reference) {
            return Err(self.invalid(format!("`{}` is neither a tag nor a digest", shown(reference))));
        }
        let place = self.trust.own(&format!("/v2/{repository}/manifests/{reference}"))?;
        let answer = self.ask(&place, repository, &MANIFESTS.join(", "), LONGEST_MANIFEST).await?;
        if answer.status == StatusCode::NOT_FOUND || code(&answer).as_deref() == Some("MANIFEST_UNKNOWN") {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(self.refused(&answer, repository));
        }
        let digest = digest_of(&answer.body);
        if is_digest(reference) && digest != reference {
            return Err(self.trust.malformed("the manifest is not the one that its digest says"));
        }
        let claimed = answer.headers.get_all(CONTENT_DIGEST);
        if claimed.iter().any(|claimed| claimed.as_bytes() != digest.as_bytes()) {
            return Err(self.trust.malformed("the manifest is not the one that its header says"));
        }
        let media_type = self.media_type(&answer)?;
        Ok(Some(Manifest { digest, media_type, body: answer.body }))
    }

    /// A small blob, such as an image's configuration. It is what its digest says.
    ///
    /// # Errors
    /// As the variants of [`OciError`] say; also when it is longer than 1 MiB.
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<Vec<u8>, OciError> {
        let repository = self.checked(repository)?;
        if !is_digest(digest) {
            return Err(self.invalid(format!("`{}` is not a digest", shown(digest))));
        }
        let place = self.trust.own(&format!("/v2/{repository}/blobs/{digest}"))?;
        let mut answer = self.ask(&place, repository, "*/*", LONGEST_BLOB).await?;
        if answer.status.is_redirection() {
            let to = answer.texts(LOCATION).next().unwrap_or_default();
            let to = self.trust.redirect(&place.url, to)?;
            // Once, and presenting nothing: the URL itself is the permission, where one is needed.
            answer = self.get(&to, &Authorization::None, "*/*", LONGEST_BLOB).await?;
            if answer.status.is_redirection() {
                return Err(self
                    .trust
                    .forbidden(format!("it redirects a blob to {}, which redirects again", name(&to.url))));
            }
            if answer.status != StatusCode::OK {
                let reason = format!("{} answers {} for a blob", name(&to.url), answer.status.as_u16());
                return Err(self.unreachable(reason));
            }
        }
        match answer.status {
            StatusCode::OK if digest_of(&answer.body) == digest => Ok(answer.body),
            StatusCode::OK => Err(self.trust.malformed("the blob is not the one that its digest says")),
            StatusCode::NOT_FOUND => Err(self.not_found(format!("{digest} in {repository}"))),
            _ => Err(self.refused(&answer, repository)),
        }
    }

    async fn pages_of_tags(&self, repository: &str) -> Result<Vec<String>, OciError> {
        let (mut tags, mut bytes) = (Vec::new(), 0);
        let own = format!("/v2/{repository}/tags/list");
        let mut place = self.trust.own(&format!("{own}?n={PAGE}"))?;
        let mut read = HashSet::from([place.url.clone()]);
        for _ in 0..MOST_PAGES {
            let answer = self.ask(&place, repository, "application/json", LONGEST_PAGE).await?;
            // Some registries refuse to be asked for so many; without a number they take their own.
            if read.len() == 1 && code(&answer).as_deref() == Some("PAGINATION_NUMBER_INVALID") {
                place = self.trust.own(&own)?;
                read.insert(place.url.clone());
                continue;
            }
            if answer.status != StatusCode::OK {
                return Err(self.refused(&answer, repository));
            }
            bytes += answer.body.len();
            if bytes > LONGEST_TAGS {
                break;
            }
            let list: TagList = serde_json::from_slice(&answer.body)
                .map_err(|_| self.trust.malformed("its list of tags is not the JSON that it should be"))?;
            tags.extend(list.tags.unwrap_or_default().into_iter().filter(|tag| is_tag(tag)));
            let Some(next) = answer.texts(LINK).find_map(next_link) else { return Ok(tags) };
            place = self.trust.next_page(&place.url, next)?;
            if !read.insert(place.url.clone()) {
                return Err(self
                    .trust
                    .malformed(format!("the tags of {repository} lead back to a page that was read")));
            }
        }
        // A part of them could lack the very tag that is looked for.
        Err(self.trust.malformed(format!("{repository} has more tags than are read")))
    }

    /// What a manifest is, by its header and by itself. Where the two disagree, others may read it as something else.
    fn media_type(&self, answer: &Answer) -> Result<String, OciError> {
        let header = answer.texts(CONTENT_TYPE).next().unwrap_or_default();
        let header = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let inside = serde_json::from_slice::<Kind>(&answer.body).ok().and_then(|kind| kind.media_type);
        match inside {
            None => Ok(header),
            Some(inside) if inside == header => Ok(header),
            // Stores that know nothing of images have a general type for all.
            Some(inside) if MANIFESTS.contains(&inside.as_str()) && !header.starts_with("application/vnd.") => {
                Ok(inside)
            }
            Some(_) => Err(self.trust.malformed("the manifest's kind is another one than its header says")),
        }
    }

    /// Asks the registry itself, and once more with what it asks for.
    async fn ask(&self, place: &Place, repository: &str, accept: &str, longest: usize) -> Result<Answer, OciError> {
        let presented = self.at_hand(repository);
        let answer = self.get_in_time(place, &presented, accept, longest).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let authorization = match choose(answer.texts(WWW_AUTHENTICATE)) {
            Some(Challenge::Bearer { realm, service }) => {
                self.tokens().forget(repository);
                Authorization::Bearer(self.token(&realm, service.as_deref(), repository).await?)
            }
            Some(Challenge::Basic) => match &self.credentials {
                Some(user) if !matches!(presented, Authorization::Basic(_)) => {
                    self.is_basic.store(true, Ordering::Relaxed);
                    Authorization::Basic(user.clone())
                }
                _ => return Err(self.denied(repository)),
            },
            None => return Err(self.trust.malformed("it asks for authentication in no way that is understood")),
        };
        let answer = self.get_in_time(place, &authorization, accept, longest).await?;
        if answer.status == StatusCode::UNAUTHORIZED { Err(self.denied(repository)) } else { Ok(answer) }
    }

    /// What to present before anything was asked for.
    fn at_hand(&self, repository: &str) -> Authorization {
        if let Some(token) = self.tokens().at_hand(repository, Instant::now()) {
            return Authorization::Bearer(token);
        }
        match &self.credentials {
            Some(user) if self.is_basic.load(Ordering::Relaxed) => Authorization::Basic(user.clone()),
            _ => Authorization::None,
        }
    }

    /// A fresh token to read one repository.
    async fn token(&self, realm: &str, service: Option<&str>, repository: &str) -> Result<Token, OciError> {
        let mut place = self.trust.realm(realm)?;
        place.url = asking(&place.url, service, repository);
        let authorization = self.credentials.clone().map_or(Authorization::None, Authorization::Basic);
        let asked = Instant::now();
        let answer = self.get_in_time(&place, &authorization, "application/json", LONGEST_GRANT).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.denied(repository));
        }
        if answer.status != StatusCode::OK {
            return Err(self.failed(&answer, &format!("{} answers", name(&place.url))));
        }
        let grant = Grant::parse(&answer.body)
            .ok_or_else(|| self.trust.malformed(format!("{} hands out no token", name(&place.url))))?;
        self.tokens().keep(repository, &grant, asked);
        Ok(grant.token)
    }

    /// Asks, and waits where that is asked for: a short time here, a long one until a later look. Nothing is asked before.
    async fn get_in_time(
        &self,
        place: &Place,
        authorization: &Authorization,
        accept: &str,
        longest: usize,
    ) -> Result<Answer, OciError> {
        let rest = *self.rest();
        if let Some((_, wait)) = rest.filter(|(until, _)| Instant::now() < *until) {
            return Err(OciError::Throttled { registry: self.trust.host.clone(), after: Some(wait) });
        }
        let mut answer = self.get(place, authorization, accept, longest).await?;
        for _ in 0..MOST_PAUSES {
            let wait = if answer.status == StatusCode::TOO_MANY_REQUESTS { wait_of(&answer) } else { None };
            let Some(wait) = wait.filter(|wait| *wait <= LONGEST_PAUSE) else { break };
            tracing::info!(registry = self.trust.host, ?wait, "the registry asks to wait");
            tokio::time::sleep(wait).await;
            answer = self.get(place, authorization, accept, longest).await?;
        }
        Ok(answer)
    }

    async fn get(
        &self,
        place: &Place,
        authorization: &Authorization,
        accept: &str,
        longest: usize,
    ) -> Result<Answer, OciError> {
        let failure = match self.http.get(place, authorization, accept, longest).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let at = name(&place.url);
        let place = |reason: String| if at == self.trust.host { reason } else { format!("{at}: {reason}") };
        Err(match failure {
            Failure::Refused(reason) => self.trust.forbidden(place(reason)),
            Failure::Unreachable(reason) => self.unreachable(place(reason)),
            Failure::TooLong => self.trust.malformed(place(format!("the answer is longer than {longest} bytes"))),
        })
    }

    fn rest(&self) -> MutexGuard<'_, Option<(Instant, Duration)>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checked<'a>(&self, repository: &'a str) -> Result<&'a str, OciError> {
        if is_repository(repository) {
            return Ok(repository);
        }
        Err(self.invalid(format!("`{}` is not the name of a repository", shown(repository))))
    }

    /// What an answer of the registry's that is no success means.
    fn refused(&self, answer: &Answer, repository: &str) -> OciError {
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(repository),
            StatusCode::NOT_FOUND => self.not_found(format!("repository {repository}")),
            status if status.is_redirection() => {
                let to = answer.texts(LOCATION).next().and_then(|to| Url::parse(to).ok());
                let to = to.map_or("elsewhere".to_owned(), |to| name(&to));
                self.trust.forbidden(format!("it redirects to {to}, which is done for blobs only"))
            }
            _ => self.failed(answer, "it answers"),
        }
    }

    /// What a status means that says nothing of the thing that was asked for.
    fn failed(&self, answer: &Answer, who: &str) -> OciError {
        let status = answer.status;
        let code = code(answer).map(|code| format!(" ({code})")).unwrap_or_default();
        let reason = format!("{who} {}{code}", status.as_u16());
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = wait_of(answer);
            *self.rest() = after.map(|wait| (Instant::now() + wait, wait));
            return OciError::Throttled { registry: self.trust.host.clone(), after };
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return self.unreachable(reason);
        }
        self.trust.malformed(reason)
    }

    fn denied(&self, repository: &str) -> OciError {
        let reason = if self.credentials.is_some() {
            format!("the credentials that are configured for it may not read {repository}")
        } else {
            format!("not everybody may read {repository}, and no credentials are configured for it")
        };
        OciError::Denied { registry: self.trust.host.clone(), reason }
    }

    fn not_found(&self, what: String) -> OciError {
        OciError::NotFound { registry: self.trust.host.clone(), what }
    }

    fn unreachable(&self, reason: impl Into<String>) -> OciError {
        OciError::Unreachable { registry: self.trust.host.clone(), reason: reason.into() }
    }

    fn invalid(&self, reason: String) -> OciError {
        OciError::Invalid { registry: self.trust.host.clone(), reason }
    }
}

/// How long a `Retry-After` header asks to wait: it has seconds, or a date.
fn wait_of(answer: &Answer) -> Option<Duration> {
    let text = answer.texts(RETRY_AFTER).next()?.trim();
    let seconds = text.parse::<u64>().ok().or_else(|| {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        let seconds = date.timestamp().as_second() - jiff::Timestamp::now().as_second();
        Some(u64::try_from(seconds).unwrap_or_default())
    })?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// The beginning of a text that is no name, in one line.
fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

/// The URL of a token to read one repository, whatever scope the server would have liked.
fn asking(realm: &Url, service: Option<&str>, repository: &str) -> Url {
    let mut url = realm.clone();
    let is_ours = |name: &str| matches!(name, "service" | "scope");
    let kept = realm.query_pairs().filter(|(name, _)| !is_ours(name));
    let service = service.map(|service| ("service", service));
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(service)
        .append_pair("scope", &format!("repository:{repository}:pull"));
    url
}

/// The target of a `Link` header's link to the next page.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, parameters) = rest.split_once('<')?.1.split_once('>')?;
        let own = parameters.split_once('<').map_or(parameters, |(own, _)| own);
        let is_next = own.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = parameters;
    }
}

/// The code of a refusal: it is one of a list, so nothing else is repeated.
fn code(answer: &Answer) -> Option<String> {
    if answer.status.is_success() {
        return None;
    }
    let refusals: Refusals = serde_json::from_slice(&answer.body).ok()?;
    let code = refusals.errors.into_iter().next()?.code;
    let is_code = code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_its_header() {
        for (header, target) in [
            ("</v2/a/tags/list?last=1>; rel=\"next\"", Some("/v2/a/tags/list?last=1")),
            ("<a>; rel=next", Some("a")),
            ("<a>; REL=\"prev Next\"", Some("a")),
            ("<a>; rel=prev, <b,c>; title=x; rel=next", Some("b,c")),
            ("<a>; rel=next, <b>; rel=prev", Some("a")),
            ("<a>", None),
            ("<a>; rel=prev", None),
            ("<a; rel=next", None),
            ("a>; rel=next", None),
            ("", None),
            ("<><><", None),
        ] {
            assert_eq!(next_link(header), target, "{header}");
        }
    }

    #[test]
    fn the_scope_is_our_own() {
        let url = |text: &str, service| asking(&Url::parse(text).unwrap(), service, "team/app").to_string();
        assert_eq!(
            url("https://a/token?x=1&scope=repository:*:*&service=evil", Some("s&scope=x")),
            "https://a/token?x=1&service=s%26scope%3Dx&scope=repository%3Ateam%2Fapp%3Apull"
        );
        assert_eq!(url("https://a/token", None), "https://a/token?scope=repository%3Ateam%2Fapp%3Apull");
    }
}
