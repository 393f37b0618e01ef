//! Registries that lead elsewhere, do not end, or send something else than they say.

use super::{client, digest, forbidden, malformed, plain, with_user};
use lockstep::oci::{Access, OciError};
use lockstep_tests::{
    certificates::Certificates,
    listener::{Asked, Listener, Reply},
    registry::{PASSWORD, USER},
};

const CONTENT: &[u8] = br#"{"os":"linux","architecture":"amd64"}"#;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry that wants a login, and redirects to here.
fn redirects(status: u16, to: &str) -> Listener {
    let to = to.to_owned();
    Listener::start(move |asked| match (asked.path(), asked.header("authorization")) {
        ("/stored", _) => Reply::new(200, CONTENT),
        (_, None) => Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""),
        _ => Reply::new(status, "").with("Location", &to),
    })
}

fn access(blob_hosts: &[&str]) -> Access {
    Access { blob_hosts: blob_hosts.iter().map(ToString::to_string).collect(), ..with_user(USER, PASSWORD) }
}

#[tokio::test]
async fn a_private_address_is_for_registries_that_are_named() {
    for name in ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.0.0.1."] {
        let registry = Listener::foreign();
        let host = format!("{name}:{}", registry.port());
        let reason = forbidden(client(&host, Access::default()).tags("team/app").await);
        assert!(reason.contains("is loopback, and only a host"), "{name}: {reason}");
        assert!(!registry.was_connected(), "{name}");
    }
}

#[tokio::test]
async fn some_addresses_are_for_nobody() {
    for host in
        ["169.254.169.254", "169.254.170.2:80", "0.0.0.0", "0", "[::]", "[fe80::1]", "[fd00:ec2::254]", "224.0.0.1"]
    {
        let reason = forbidden(client(host, plain()).tags("team/app").await);
        assert!(reason.ends_with("which is never reached"), "{host}: {reason}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_where_it_may_be_private() {
    let registry = Listener::start(|_| Reply::new(200, r#"{"tags":null}"#));
    let host = format!("localhost:{}", registry.port());
    assert_eq!(client(&host, plain()).tags("team/app").await, Ok(Vec::new()));
}

#[tokio::test]
async fn names_outside_the_grammar_are_not_asked_for() {
    let registry = Listener::foreign();
    let client = client(&registry.address(), plain());
    let digest = digest(CONTENT);
    for name in ["", "../admin", "Team/app", "a/%2e%2e/b", "a?b", "a\r\nb"] {
        assert!(matches!(client.tags(name).await, Err(OciError::Invalid { .. })), "{name}");
        assert!(matches!(client.manifest(name, "1").await, Err(OciError::Invalid { .. })), "{name}");
        assert!(matches!(client.blob(name, &digest).await, Err(OciError::Invalid { .. })), "{name}");
    }
    for reference in ["", "..", "a/b", "a?b", "sha256:abc", "sha512:abc"] {
        assert!(matches!(client.manifest("a", reference).await, Err(OciError::Invalid { .. })), "{reference}");
        assert!(matches!(client.blob("a", reference).await, Err(OciError::Invalid { .. })), "{reference}");
    }
    assert!(!registry.was_connected());
}

#[tokio::test]
async fn a_blob_is_not_followed_to_who_is_not_listed() {
    let foreign = Listener::foreign();
    for scheme in ["http", "https"] {
        let registry = redirects(307, &format!("{scheme}://{}/stored?signature=hidden", foreign.address()));
        let error = client(&registry.address(), access(&[])).blob("team/app", &digest(CONTENT)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the registry {0} is not used: it redirects a blob to {1}, which the agent's file does not allow (registries.{0}.blobHosts)",
                registry.address(),
                foreign.address()
            )
        );
        assert!(!format!("{error:?}").contains("hidden"));
    }
    assert!(!foreign.was_connected());
}

#[tokio::test]
async fn a_glob_opens_no_private_address_and_no_plain_http() {
    let foreign = Listener::foreign();
    for (to, reason) in [
        (format!("https://{}/stored", foreign.address()), "is loopback, and only a host"),
        (format!("https://localhost:{}/stored", foreign.port()), "is loopback, and only a host"),
        (format!("http://{}/stored", foreign.address()), "without TLS"),
        ("https://169.254.169.254/latest/meta-data".into(), "is link-local, which is never reached"),
        ("http://169.254.169.254/latest/meta-data".into(), "without TLS"),
        ("https://[::ffff:169.254.169.254]/".into(), "is link-local, which is never reached"),
        ("https://[fd00:ec2::254]/".into(), "which is never reached"),
        ("https://10.0.0.1/".into(), "is private, and only a host"),
    ] {
        let registry = redirects(307, &to);
        let found = forbidden(client(&registry.address(), access(&["*"])).blob("team/app", &digest(CONTENT)).await);
        assert!(found.contains(reason), "{to}: {found}");
    }
    assert!(!foreign.was_connected());
}

#[tokio::test]
async fn a_blob_is_followed_once_and_without_credentials() {
    for status in [301, 302, 303, 307, 308] {
        let registry = redirects(status, "/stored?x=1");
        let blob = client(&registry.address(), access(&[])).blob("team/app", &digest(CONTENT)).await;
        assert_eq!(blob.unwrap(), CONTENT);
        let asked = registry.asked();
        assert_eq!(asked.len(), 3);
        assert_eq!((asked[2].target.as_str(), asked[2].header("authorization")), ("/stored?x=1", None));
    }
    let registry = redirects(307, "/again");
    let known = client(&registry.address(), access(&[]));
    // What answers there wants a login, and gets none.
    assert!(known.blob("team/app", &digest(CONTENT)).await.is_err());
    assert_eq!(registry.presented().last(), Some(&None));
    assert_eq!(registry.asked().len(), 3);

    let circle = Listener::start(|_| Reply::new(307, "").with("Location", "/again"));
    let reason = forbidden(client(&circle.address(), plain()).blob("team/app", &digest(CONTENT)).await);
    assert!(reason.ends_with("which redirects again"), "{reason}");
    assert_eq!(circle.asked().len(), 2);

    for to in ["", "http://", "file:///etc/passwd", "http://user:password@127.0.0.1/"] {
        let registry = redirects(307, to);
        assert!(client(&registry.address(), access(&["*"])).blob("team/app", &digest(CONTENT)).await.is_err(), "{to}");
        assert_eq!(registry.asked().len(), if to.is_empty() { 3 } else { 2 }, "{to}");
    }
}

#[tokio::test]
async fn a_store_that_is_listed_gets_the_url_and_nothing_else() {
    let certificates = Certificates::new();
    let store = Listener::tls(&certificates, |_| Reply::new(200, CONTENT));
    let registry = redirects(307, &format!("https://{}/bucket/x?signature=y", store.address()));
    // A store on loopback has to be named letter for letter besides.
    let access = Access {
        token_hosts: vec![store.address()],
        authority: Some(certificates.authority()),
        ..access(&["127.0.0.*:*"])
    };
    let blob = client(&registry.address(), access).blob("team/app", &digest(CONTENT)).await;
    assert_eq!(blob.unwrap(), CONTENT);
    assert_eq!(store.targets(), ["/bucket/x?signature=y"]);
    assert_eq!(store.presented(), [None]);
}

#[tokio::test]
async fn only_blobs_are_redirected() {
    let foreign = Listener::foreign();
    let registry = redirects(307, &format!("http://{}/v2/", foreign.address()));
    let client = client(&registry.address(), access(&["*"]));
    let expected = format!("it redirects to {}, which is done for blobs only", foreign.address());
    assert_eq!(forbidden(client.tags("team/app").await), expected);
    assert_eq!(forbidden(client.manifest("team/app", "1").await), expected);
    assert!(!foreign.was_connected());
}

#[tokio::test]
async fn pages_are_followed_at_the_registry() {
    let registry = Listener::start(|asked: &Asked| {
        let host = asked.header("host").unwrap();
        match asked.target.as_str() {
            "/v2/team/app/tags/list?n=1000" => Reply::new(200, r#"{"tags":["1","2"]}"#)
                .with("Link", "</v2/team/app/tags/list?last=2&n=2>; rel=\"next\""),
            "/v2/team/app/tags/list?last=2&n=2" => Reply::new(200, r#"{"tags":["3","not a tag","../x"]}"#)
                .with("Link", "<x>; rel=prev")
                .with("link", &format!("<http://{host}/v2/team/app/tags/list?last=3>; rel=next")),
            "/v2/team/app/tags/list?last=3" => Reply::new(200, r#"{"tags":["4"]}"#),
            _ => Reply::new(404, ""),
        }
    });
    assert_eq!(client(&registry.address(), plain()).tags("team/app").await.unwrap(), ["1", "2", "3", "4"]);
    assert_eq!(registry.asked().len(), 3);
}

// E4: behind a proxy, registries write what they are called inside.
#[tokio::test]
async fn a_page_elsewhere_is_asked_for_at_the_registry() {
    let foreign = Listener::foreign();
    for to in [
        format!("http://{}/v2/team/app/tags/list?last=1", foreign.address()),
        format!("https://{}/v2/team/app/tags/list?last=1", foreign.address()),
        format!("//{}/v2/team/app/tags/list?last=1", foreign.address()),
    ] {
        let link = format!("<{to}>; rel=\"next\"");
        let registry = Listener::start(move |asked| match asked.target.as_str() {
            "/v2/team/app/tags/list?last=1" => Reply::new(200, r#"{"tags":["2"]}"#),
            _ => Reply::new(200, r#"{"tags":["1"]}"#).with("Link", &link),
        });
        let tags = client(&registry.address(), with_user(USER, PASSWORD)).tags("team/app").await;
        assert_eq!(tags.unwrap(), ["1", "2"], "{to}");
    }
    // What is no page of a listing is not asked for.
    let registry =
        Listener::start(|_| Reply::new(200, r#"{"tags":["1"]}"#).with("Link", "<https://x/admin>; rel=next"));
    let reason = malformed(client(&registry.address(), plain()).tags("team/app").await);
    assert_eq!(reason, "its next page is none of the distribution API");
    assert_eq!(registry.asked().len(), 1);
    assert!(!foreign.was_connected());
}

// E4
#[tokio::test]
async fn a_registry_that_takes_no_number_is_asked_without() {
    let refusal = r#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"invalid number of results"}]}"#;
    let registry = Listener::start(move |asked: &Asked| match asked.target.as_str() {
        "/v2/team/app/tags/list" => {
            Reply::new(200, r#"{"tags":["1"]}"#).with("Link", "</v2/team/app/tags/list?last=1>; rel=next")
        }
        "/v2/team/app/tags/list?last=1" => Reply::new(200, r#"{"tags":["2"]}"#),
        _ => Reply::new(400, refusal),
    });
    assert_eq!(client(&registry.address(), plain()).tags("team/app").await.unwrap(), ["1", "2"]);
    assert_eq!(
        registry.targets(),
        ["/v2/team/app/tags/list?n=1000", "/v2/team/app/tags/list", "/v2/team/app/tags/list?last=1"]
    );
    // One that refuses whatever it is asked is asked twice.
    let registry = Listener::start(move |_| Reply::new(400, refusal));
    let reason = malformed(client(&registry.address(), plain()).tags("team/app").await);
    assert_eq!(reason, "it answers 400 (PAGINATION_NUMBER_INVALID)");
    assert_eq!(registry.asked().len(), 2);
}

// E4
#[tokio::test]
async fn a_short_wait_is_waited_and_a_long_one_is_left_for_later() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let registry = Listener::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 | 1 => Reply::new(429, "").with("Retry-After", "0"),
        _ => Reply::new(200, r#"{"tags":["1"]}"#),
    });
    assert_eq!(client(&registry.address(), plain()).tags("team/app").await.unwrap(), ["1"]);
    assert_eq!(registry.asked().len(), 3);

    let registry = Listener::start(|_| Reply::new(429, "").with("Retry-After", "40"));
    let limited = client(&registry.address(), plain());
    for _ in 0..3 {
        let error = limited.tags("team/app").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the registry {} limits how often it is asked: it asked for a pause of 40s and is not asked before",
                registry.address()
            )
        );
    }
    assert_eq!(registry.asked().len(), 1);
}

// H15
#[tokio::test]
async fn pages_come_to_an_end() {
    let registry = Listener::start(|asked: &Asked| {
        Reply::new(200, r#"{"tags":["1"]}"#).with("Link", &format!("<{}>; rel=next", asked.target))
    });
    let reason = malformed(client(&registry.address(), plain()).tags("team/app").await);
    assert_eq!(reason, "the tags of team/app lead back to a page that was read");
    assert_eq!(registry.asked().len(), 1);

    // A new page each time.
    let next = |asked: &Asked| format!("<{}x>; rel=next", asked.target);
    let registry =
        Listener::start(move |asked: &Asked| Reply::new(200, r#"{"tags":["1"]}"#).with("Link", &next(asked)));
    let reason = malformed(client(&registry.address(), plain()).tags("team/app").await);
    assert_eq!(reason, "team/app has more tags than are read");
    assert_eq!(registry.asked().len(), 200);

    // Fewer pages, but long ones.
    let page = format!(r#"{{"tags":["1"{}]}}"#, " ".repeat(7 * 1024 * 1024));
    let registry = Listener::start(move |asked: &Asked| Reply::new(200, page.clone()).with("Link", &next(asked)));
    let reason = malformed(client(&registry.address(), plain()).tags("team/app").await);
    assert_eq!(reason, "team/app has more tags than are read");
    assert_eq!(registry.asked().len(), 5);
}

#[tokio::test]
async fn an_answer_that_breaks_off_drips_or_is_a_page_is_none() {
    let registry = Listener::start(|_| Reply::short(200, r#"{"tags":["1"]}"#));
    let outcome = client(&registry.address(), plain()).tags("team/app").await;
    assert!(matches!(outcome, Err(OciError::Unreachable { .. })), "{outcome:?}");
    let registry = Listener::start(|_| Reply::new(200, "<html>Sign in</html>").with("Content-Type", "text/html"));
    let reason = malformed(client(&registry.address(), plain()).tags("team/app").await);
    assert_eq!(reason, "its list of tags is not the JSON that it should be");
    let registry = Listener::start(|_| Reply::dripping(200));
    let outcome = client(&registry.address(), plain()).tags("team/app").await;
    let reason = "it did not answer in time".to_owned();
    assert_eq!(outcome, Err(OciError::Unreachable { registry: registry.address(), reason }));
}

#[tokio::test]
async fn bodies_come_to_an_end() {
    let registry = Listener::start(|_| Reply::endless(200, &"x".repeat(64 * 1024)));
    let endless = client(&registry.address(), plain());
    let reason = |bytes: usize| format!("the answer is longer than {bytes} bytes");
    assert_eq!(malformed(endless.tags("team/app").await), reason(8 << 20));
    assert_eq!(malformed(endless.manifest("team/app", "1").await), reason(4 << 20));
    assert_eq!(malformed(endless.blob("team/app", &digest(CONTENT)).await), reason(1 << 20));

    // What is no success is read to its beginning.
    let registry = Listener::start(|_| Reply::endless(500, &"x".repeat(64 * 1024)));
    let outcome = client(&registry.address(), plain()).tags("team/app").await;
    let reason = "it answers 500".to_owned();
    assert_eq!(outcome, Err(OciError::Unreachable { registry: registry.address(), reason }));
}

#[tokio::test]
async fn digests_are_of_what_arrived() {
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}"}}"#);
    let own = digest(body.as_bytes());
    let other = digest(CONTENT);
    let serving = |claimed: Option<&str>| {
        let reply = Reply::new(200, body.clone()).with("Content-Type", MANIFEST);
        let reply = match claimed {
            None => reply,
            Some(claimed) => reply.with("Docker-Content-Digest", claimed),
        };
        Listener::start(move |_| reply.clone())
    };
    let silent = serving(None);
    let quiet = client(&silent.address(), plain());
    assert_eq!(quiet.manifest("team/app", "1").await.unwrap().unwrap().digest, own);
    assert_eq!(quiet.manifest("team/app", &own).await.unwrap().unwrap().body, body.as_bytes());
    let says = "the manifest is not the one that its digest says";
    assert_eq!(malformed(quiet.manifest("team/app", &other).await), says);
    assert_eq!(malformed(quiet.blob("team/app", &other).await), "the blob is not the one that its digest says");
    assert_eq!(quiet.blob("team/app", &own).await.unwrap(), body.as_bytes());

    let lying = serving(Some(&other));
    let lied_to = client(&lying.address(), plain());
    let says = "the manifest is not the one that its header says";
    assert_eq!(malformed(lied_to.manifest("team/app", "1").await), says);
    assert_eq!(malformed(lied_to.manifest("team/app", &own).await), says);
    // Not even where the header agrees with what was asked for.
    assert!(lied_to.manifest("team/app", &other).await.is_err());
    for odd in ["", "sha512:00", "nothing"] {
        let registry = serving(Some(odd));
        assert_eq!(malformed(client(&registry.address(), plain()).manifest("team/app", "1").await), says, "{odd}");
    }
}

#[tokio::test]
async fn a_manifest_is_of_one_kind() {
    let kind = async |header: &str, inside: &str| {
        let reply = Reply::new(200, inside).with("Content-Type", header);
        let registry = Listener::start(move |_| reply.clone());
        let outcome = client(&registry.address(), plain()).manifest("team/app", "1").await;
        outcome.map(|manifest| manifest.unwrap().media_type)
    };
    let index = format!(r#"{{"mediaType":"{INDEX}"}}"#);
    assert_eq!(kind(INDEX, &index).await.unwrap(), INDEX);
    assert_eq!(kind(&format!("{INDEX}; charset=utf-8"), &index).await.unwrap(), INDEX);
    assert_eq!(kind(INDEX, "{}").await.unwrap(), INDEX);
    assert_eq!(kind("application/json", &index).await.unwrap(), INDEX);
    assert_eq!(malformed(kind(MANIFEST, &index).await), "the manifest's kind is another one than its header says");
}

#[tokio::test]
async fn an_unknown_manifest_is_known_by_its_code() {
    for status in [404, 400] {
        let reply = Reply::new(status, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
        let registry = Listener::start(move |_| reply.clone());
        assert_eq!(client(&registry.address(), plain()).manifest("team/app", "1").await, Ok(None));
    }
}
