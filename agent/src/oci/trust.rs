//! Where a registry may lead: to its token service, to where its blobs are, to the next page. Decided from the agent's
//! own file alone. Here is nothing but the decision; addresses are looked at when the connection is made.

use super::{Access, OciError, names::DOCKER};
use globset::Glob;
use reqwest::Url;

/// Where the API of Docker Hub is, and who hands out its tokens.
const DOCKER_API: &str = "registry-1.docker.io";
const DOCKER_TOKENS: &str = "auth.docker.io";
/// Longest URL that a registry may lead to: those of stores are signed, and long.
const LONGEST_URL: usize = 8 * 1024;
/// Longest host that is repeated in a text: no name is longer, and a port.
const LONGEST_NAME: usize = 253 + 6;

/// Somewhere that may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The URL.
    pub(super) url: Url,
    /// Whether it may have a private address.
    pub(super) private: bool,
}

/// A registry, and what the agent's file says of it.
pub(super) struct Trust {
    /// The registry's host as it was written: in texts, and in names of settings.
    pub(super) host: String,
    base: Url,
    is_docker: bool,
    insecure: bool,
    exact: bool,
    token_hosts: Vec<String>,
    blob_hosts: Vec<String>,
}

impl Trust {
    /// Reads a host with or without a port.
    ///
    /// # Errors
    /// When it is none, or when plain HTTP is asked for with a host that is not named letter for letter.
    pub(super) fn new(host: &str, access: &Access) -> Result<Self, OciError> {
        let is_docker = matches!(host, DOCKER | "index.docker.io" | DOCKER_API);
        let scheme = if access.insecure { "http" } else { "https" };
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_:[]".contains(letter);
        let base = Some(if is_docker { DOCKER_API } else { host })
            .filter(|host| !host.is_empty() && host.chars().all(is_plain))
            .and_then(|host| Url::parse(&format!("{scheme}://{host}/")).ok());
        let Some(base) = base else {
            let registry = host.chars().take(100).flat_map(char::escape_debug).collect();
            return Err(OciError::Invalid { registry, reason: "this is not a host with or without a port".to_owned() });
        };
        if access.insecure && !access.exact {
            return Err(OciError::Forbidden {
                registry: host.to_owned(),
                reason: "plain HTTP is only spoken with a host that the agent's file names letter for letter"
                    .to_owned(),
            });
        }
        Ok(Self {
            host: host.to_owned(),
            base,
            is_docker,
            insecure: access.insecure,
            exact: access.exact,
            token_hosts: access.token_hosts.clone(),
            blob_hosts: access.blob_hosts.clone(),
        })
    }

    /// A place at the registry itself. The path is made of names that were looked at.
    ///
    /// # Errors
    /// Never for such a path.
    pub(super) fn own(&self, path: &str) -> Result<Place, OciError> {
        let url = self.base.join(path).map_err(|error| self.malformed(format!("its own address: {error}")))?;
        Ok(Place { url, private: self.exact })
    }

    /// The place that hands out tokens, where it may be asked. It is shown the credentials.
    ///
    /// # Errors
    /// When it may not, or when it is no URL.
    pub(super) fn realm(&self, text: &str) -> Result<Place, OciError> {
        let url = follow(None, text).ok_or_else(|| self.malformed("it names no usable address for tokens"))?;
        let (is_own, is_listed) = (self.is_own_host(&url), self.is_token_host(&url));
        let is_dockers = self.is_docker && is_host(DOCKER_TOKENS, &url) && url.scheme() == "https";
        if !(is_own || is_listed || is_dockers) {
            return Err(self.forbidden(format!(
                "it sends to {} for tokens, which the agent's file does not allow (registries.{}.tokenHosts)",
                name(&url),
                self.host
            )));
        }
        if url.scheme() != "https" && !self.insecure {
            return Err(self.forbidden(format!("it sends to {} for tokens without TLS", name(&url))));
        }
        Ok(Place { private: is_listed || (is_own && self.exact), url })
    }

    /// The place that a blob is redirected to.
    ///
    /// # Errors
    /// When it may not be reached, or when it is no URL.
    pub(super) fn redirect(&self, from: &Url, text: &str) -> Result<Place, OciError> {
        let url = follow(Some(from), text).ok_or_else(|| self.malformed("it redirects a blob to no usable address"))?;
        let is_own = self.is_own_host(&url);
        if !is_own && !self.is_blob_host(&url) {
            return Err(self.forbidden(format!(
                "it redirects a blob to {}, which the agent's file does not allow (registries.{}.blobHosts)",
                name(&url),
                self.host
            )));
        }
        // Where the registry itself is spoken to without TLS, so is what it redirects to itself.
        if url.scheme() != "https" && !(is_own && self.insecure) {
            return Err(self.forbidden(format!("it redirects a blob to {} without TLS", name(&url))));
        }
        Ok(Place { private: self.is_token_host(&url) || (is_own && self.exact), url })
    }

    /// The next page of a listing. Behind a proxy, registries write scheme, host and port of their own inside: the path and
    /// the query are taken, at the registry's own address.
    ///
    /// # Errors
    /// When it is none of a listing, or no URL.
    pub(super) fn next_page(&self, from: &Url, text: &str) -> Result<Place, OciError> {
        let url = follow(Some(from), text).ok_or_else(|| self.malformed("its next page has no usable address"))?;
        if !url.path().starts_with("/v2/") {
            return Err(self.malformed("its next page is none of the distribution API"));
        }
        let mut own = self.base.clone();
        own.set_path(url.path());
        own.set_query(url.query());
        Ok(Place { url: own, private: self.exact })
    }

    /// An error: the agent's file does not allow it.
    pub(super) fn forbidden(&self, reason: impl Into<String>) -> OciError {
        OciError::Forbidden { registry: self.host.clone(), reason: reason.into() }
    }

    /// An error: an answer is not what it should be.
    pub(super) fn malformed(&self, reason: impl Into<String>) -> OciError {
        OciError::Malformed { registry: self.host.clone(), reason: reason.into() }
    }

    fn is_own_host(&self, url: &Url) -> bool {
        url.host_str() == self.base.host_str() && url.port_or_known_default() == self.base.port_or_known_default()
    }

    fn is_token_host(&self, url: &Url) -> bool {
        self.token_hosts.iter().any(|host| is_host(host, url))
    }

    fn is_blob_host(&self, url: &Url) -> bool {
        let whole = host_and_port(url);
        self.blob_hosts
            .iter()
            .any(|glob| Glob::new(&glob.to_ascii_lowercase()).is_ok_and(|glob| glob.compile_matcher().is_match(&whole)))
    }
}

/// A URL's host, with its port where that is not the usual one.
fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

/// The same for texts. Whoever leads there chooses how long it is; nothing may be decided by it.
pub(super) fn name(url: &Url) -> String {
    host_and_port(url).chars().take(LONGEST_NAME).collect()
}

/// Whether a URL is at a host that is written with or without a port.
fn is_host(written: &str, url: &Url) -> bool {
    // Anything else in it than a host would be left out silently.
    !written.contains(['/', '\\', '?', '#', '@'])
        && Url::parse(&format!("{}://{written}/", url.scheme())).is_ok_and(|written| {
            written.host_str() == url.host_str() && written.port_or_known_default() == url.port_or_known_default()
        })
}

/// Where a text leads. None where that is not HTTP, or where the text brings credentials of its own: these would be
/// presented there.
fn follow(from: Option<&Url>, text: &str) -> Option<Url> {
    if text.len() > LONGEST_URL {
        return None;
    }
    let mut url = match from {
        None => Url::parse(text).ok()?,
        Some(from) => from.join(text).ok()?,
    };
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(host: &str, access: &Access) -> Trust {
        Trust::new(host, access).unwrap()
    }

    fn exact() -> Access {
        Access { exact: true, ..Access::default() }
    }

    fn allowed(place: Result<Place, OciError>) -> (String, bool) {
        let place = place.unwrap();
        (place.url.to_string(), place.private)
    }

    fn forbidden<T: std::fmt::Debug>(place: Result<T, OciError>) -> String {
        match place.unwrap_err() {
            OciError::Forbidden { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    fn is_malformed<T>(place: Result<T, OciError>) -> bool {
        matches!(place, Err(OciError::Malformed { .. }))
    }

    #[test]
    fn a_host_is_a_host_and_nothing_else() {
        for host in [
            "",
            "a/b",
            "a?b",
            "a#b",
            "user@a",
            "a b",
            "a:b",
            "a%2e",
            "a\n",
            "[",
            "a:99999",
            "ä",
            "http://a",
            "256.1.1.1",
        ] {
            assert!(matches!(Trust::new(host, &exact()), Err(OciError::Invalid { .. })), "{host}");
        }
        for (host, url) in [
            ("registry.example.com", "https://registry.example.com/v2/"),
            ("Registry.example.com:5000", "https://registry.example.com:5000/v2/"),
            ("docker.io", "https://registry-1.docker.io/v2/"),
            ("[::1]:5000", "https://[::1]:5000/v2/"),
            ("127.1", "https://127.0.0.1/v2/"),
        ] {
            assert_eq!(allowed(trust(host, &Access::default()).own("/v2/")), (url.to_owned(), false));
        }
        assert_eq!(
            allowed(trust("a:80", &Access { insecure: true, ..exact() }).own("/v2/")),
            ("http://a/v2/".into(), true)
        );
    }

    #[test]
    fn plain_http_needs_a_host_letter_for_letter() {
        let access = Access { insecure: true, ..Access::default() };
        let reason = forbidden(Trust::new("a", &access).map(|_| ()));
        assert_eq!(reason, "plain HTTP is only spoken with a host that the agent's file names letter for letter");
    }

    #[test]
    fn tokens_come_from_the_registry_and_from_who_is_listed() {
        let access = Access { token_hosts: vec!["auth.example.com".into(), "other:8443".into()], ..Access::default() };
        let one = trust("r.example.com:5000", &access);
        let realm = |text: &str| one.realm(text);
        assert_eq!(allowed(realm("https://r.example.com:5000/t#x")), ("https://r.example.com:5000/t".into(), false));
        assert!(allowed(realm("https://auth.example.com:443/t")).1);
        assert!(allowed(realm("https://OTHER:8443/t")).1);
        for (text, name) in [
            ("https://r.example.com/t", "r.example.com"),
            ("https://r.example.com.:5000/t", "r.example.com.:5000"),
            ("https://auth.example.com:444/t", "auth.example.com:444"),
            ("https://xauth.example.com/t", "xauth.example.com"),
            ("https://auth.example.com.evil.test/t", "auth.example.com.evil.test"),
            ("https://evil.test\\@auth.example.com/t", "evil.test"),
            ("https://auth.docker.io/t", "auth.docker.io"),
            ("https://169.254.169.254/t", "169.254.169.254"),
            ("https://2852039166/t", "169.254.169.254"),
        ] {
            assert_eq!(
                forbidden(realm(text)),
                format!(
                    "it sends to {name} for tokens, which the agent's file does not allow (registries.r.example.com:5000.tokenHosts)"
                )
            );
        }
        assert_eq!(
            forbidden(realm("http://r.example.com:5000/t")),
            "it sends to r.example.com:5000 for tokens without TLS"
        );
        for text in
            ["", "/t", "file:///etc/passwd", "https://", "https://u:p@auth.example.com/t", "https://u@other:8443/"]
        {
            assert!(is_malformed(realm(text)), "{text}");
        }
    }

    #[test]
    fn plain_http_goes_to_the_registry_and_to_who_is_listed() {
        let access = Access { insecure: true, token_hosts: vec!["auth:8080".into()], ..exact() };
        let one = trust("r:5000", &access);
        assert_eq!(allowed(one.realm("http://r:5000/t")), ("http://r:5000/t".into(), true));
        assert_eq!(allowed(one.realm("http://auth:8080/t")), ("http://auth:8080/t".into(), true));
        assert!(forbidden(one.realm("http://auth/t")).contains("auth for tokens"));
    }

    #[test]
    fn docker_has_its_own_token_host() {
        for host in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            let docker = trust(host, &exact());
            let realm = docker.realm("https://auth.docker.io/token");
            assert_eq!(allowed(realm), ("https://auth.docker.io/token".into(), false));
            assert!(forbidden(docker.realm("http://auth.docker.io/token")).contains("tokenHosts"));
        }
    }

    #[test]
    fn what_is_no_host_in_the_list_matches_nothing() {
        for written in
            ["", "*", "auth.example.com/x", "u@auth.example.com", "auth.example.com?x", "https://auth.example.com"]
        {
            let access = Access { token_hosts: vec![written.into()], ..Access::default() };
            forbidden(trust("r.example.com", &access).realm("https://auth.example.com/t"));
        }
    }

    #[test]
    fn blobs_come_from_the_registry_and_from_globs() {
        let access = Access { blob_hosts: vec!["*.Store.example.com".into(), "b:*".into()], ..exact() };
        let one = trust("r:5000", &access);
        let from = one.own("/v2/a/blobs/x").unwrap().url;
        let redirect = |text: &str| one.redirect(&from, text);
        assert_eq!(allowed(redirect("/elsewhere?x=1")), ("https://r:5000/elsewhere?x=1".into(), true));
        assert_eq!(allowed(redirect("//r:5000/x")), ("https://r:5000/x".into(), true));
        assert_eq!(
            allowed(redirect("https://eu.store.example.com/x?signature=y")),
            ("https://eu.store.example.com/x?signature=y".into(), false)
        );
        assert!(!allowed(redirect("https://b:9000/x")).1);
        for text in ["https://store.example.com/x", "https://r/x", "https://eu.store.example.com:444/x", "https://b/x"]
        {
            assert!(forbidden(redirect(text)).contains("(registries.r:5000.blobHosts)"), "{text}");
        }
        for text in ["http://eu.store.example.com/x", "http://r:5000/x"] {
            assert!(forbidden(redirect(text)).ends_with("without TLS"), "{text}");
        }
        // What is beyond the length of a name is looked at as well.
        let long = format!("https://{}.store.example.com.evil.test/x", "a".repeat(LONGEST_NAME - 18));
        assert!(forbidden(redirect(&long)).contains(".store.example.com, which"));
        assert!(is_malformed(redirect("https://u:p@eu.store.example.com/x")));
        assert!(is_malformed(redirect("ftp://eu.store.example.com/x")));
        // A presigned URL is not repeated.
        assert!(!forbidden(redirect("https://evil.test/path?signature=y")).contains("path"));
    }

    #[test]
    fn pages_are_at_the_registry_itself() {
        let one = trust("r:5000", &Access::default());
        let from = one.own("/v2/a/tags/list?n=1000").unwrap().url;
        let page = |text: &str| one.next_page(&from, text);
        let next = "https://r:5000/v2/a/tags/list?last=1";
        for text in [
            "/v2/a/tags/list?last=1",
            "?last=1",
            next,
            // E4: what the registry calls itself inside.
            "http://r:5000/v2/a/tags/list?last=1",
            "http://registry.internal/v2/a/tags/list?last=1",
            "//evil.test/v2/a/tags/list?last=1",
            "https://r:443/v2/a/tags/list?last=1#x",
        ] {
            assert_eq!(allowed(page(text)), (next.into(), false), "{text}");
        }
        for text in ["/admin", "/v2/../admin", "https://u@r:5000/v2/"] {
            assert!(is_malformed(page(text)), "{text}");
        }
    }
}
