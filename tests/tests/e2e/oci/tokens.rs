//! Which credentials arrive where, with registries and token services that log each request.

use super::{client, forbidden, malformed, plain, presented, with_user};
use lockstep::oci::{Access, OciError};
use lockstep_tests::{
    certificates::Certificates,
    listener::{Asked, Listener, Reply},
    registry::{PASSWORD, USER},
};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

const TAGS: &str = "/v2/team/app/tags/list?n=1000";
const SCOPE: &str = "scope=repository%3Ateam%2Fapp%3Apull";

fn tags() -> Reply {
    Reply::new(200, r#"{"name":"team/app","tags":["1.2.0"]}"#)
}

fn challenge(challenge: &str) -> Reply {
    Reply::new(401, "").with("WWW-Authenticate", challenge)
}

/// A registry that sends to a realm, and is content with any token.
fn sends_to(realm: &str) -> Listener {
    let header = format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:*:*\"");
    Listener::start(move |asked| match asked.header("authorization") {
        Some(presented) if presented.starts_with("Bearer ") => tags(),
        _ => challenge(&header),
    })
}

/// A token service that numbers its tokens.
fn hands_out(lifetime: &'static str) -> Listener {
    let count = AtomicUsize::new(0);
    Listener::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Reply::new(200, format!(r#"{{"token":"token-{number}"{lifetime}}}"#))
    })
}

fn realm_of(service: &Listener) -> String {
    format!("http://{}/token", service.address())
}

fn listed(service: &Listener) -> Access {
    Access { token_hosts: vec![service.address()], ..with_user(USER, PASSWORD) }
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

#[tokio::test]
async fn credentials_go_to_the_token_service_and_tokens_to_the_registry() {
    let service = hands_out("");
    let registry = sends_to(&realm_of(&service));
    let client = client(&registry.address(), listed(&service));
    assert_eq!(client.tags("team/app").await.unwrap(), ["1.2.0"]);
    assert_eq!(client.tags("team/app").await.unwrap(), ["1.2.0"]);
    assert_eq!(registry.targets(), [TAGS, TAGS, TAGS]);
    assert_eq!(registry.presented(), [None, bearer("token-0"), bearer("token-0")]);
    assert_eq!(service.targets(), [format!("/token?service=s&{SCOPE}")]);
    assert_eq!(service.presented(), [presented()]);
}

#[tokio::test]
async fn a_registry_may_hand_out_its_tokens_itself() {
    let registry = Listener::start(|asked: &Asked| match (asked.path(), asked.header("authorization")) {
        ("/token", _) => Reply::new(200, r#"{"access_token":"own"}"#),
        (_, Some("Bearer own")) => tags(),
        _ => {
            let host = asked.header("host").unwrap();
            challenge(&format!("Basic realm=\"x\", Bearer realm=\"http://{host}/token\""))
        }
    });
    // Without credentials the token is an anonymous one.
    assert_eq!(client(&registry.address(), plain()).tags("team/app").await.unwrap(), ["1.2.0"]);
    assert_eq!(registry.targets(), [TAGS.to_owned(), format!("/token?{SCOPE}"), TAGS.to_owned()]);
    assert_eq!(registry.presented(), [None, None, bearer("own")]);
}

#[tokio::test]
async fn a_token_service_that_is_not_listed_gets_nothing() {
    let foreign = Listener::foreign();
    let registry = sends_to(&realm_of(&foreign));
    let reason = forbidden(client(&registry.address(), with_user(USER, PASSWORD)).tags("team/app").await);
    assert!(reason.contains(&format!("(registries.{}.tokenHosts)", registry.address())), "{reason}");
    assert!(!foreign.was_connected());
    assert_eq!(registry.presented(), [None]);
}

#[tokio::test]
async fn the_address_of_the_metadata_is_never_asked() {
    for host in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "0xa9fea9fe", "0.0.0.0"] {
        let registry = sends_to(&format!("http://{host}/latest/meta-data"));
        let token_hosts = vec![host.to_owned()];
        let access = Access { token_hosts, ..with_user(USER, PASSWORD) };
        let reason = forbidden(client(&registry.address(), access).tags("team/app").await);
        assert!(reason.ends_with("which is never reached"), "{reason}");
        let reason = forbidden(client(&registry.address(), with_user(USER, PASSWORD)).tags("team/app").await);
        assert!(reason.ends_with("tokenHosts)"), "{reason}");
        assert_eq!(registry.presented(), [None, None]);
    }
}

#[tokio::test]
async fn a_realm_that_brings_credentials_is_none() {
    let service = hands_out("");
    let registry = sends_to(&format!("http://user:password@{}/token", service.address()));
    malformed(client(&registry.address(), listed(&service)).tags("team/app").await);
    assert!(!service.was_connected());
}

#[tokio::test]
async fn tokens_are_not_asked_for_in_plain_by_a_registry_with_tls() {
    let certificates = Certificates::new();
    let service = hands_out("");
    let header = format!("Bearer realm=\"{}\"", realm_of(&service));
    let registry = Listener::tls(&certificates, move |_| challenge(&header));
    let access = Access { insecure: false, authority: Some(certificates.authority()), ..listed(&service) };
    let reason = forbidden(client(&registry.address(), access).tags("team/app").await);
    assert_eq!(reason, format!("it sends to {} for tokens without TLS", service.address()));
    assert!(!service.was_connected());
}

#[tokio::test]
async fn a_token_service_is_not_followed_elsewhere() {
    let foreign = Listener::foreign();
    let to = realm_of(&foreign);
    let service = Listener::start(move |_| Reply::new(302, "").with("Location", &to));
    let registry = sends_to(&realm_of(&service));
    malformed(client(&registry.address(), listed(&service)).tags("team/app").await);
    assert!(!foreign.was_connected());
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn a_fresh_token_is_tried_once() {
    let service = hands_out("");
    let header = format!("Bearer realm=\"{}\"", realm_of(&service));
    let registry = Listener::start(move |_| challenge(&header));
    let client = client(&registry.address(), listed(&service));
    for _ in 0..2 {
        assert!(matches!(client.tags("team/app").await, Err(OciError::Denied { .. })));
    }
    // The second time there is a token at hand, which is then replaced.
    assert_eq!(registry.presented(), [None, bearer("token-0"), bearer("token-0"), bearer("token-1")]);
    assert_eq!(service.asked().len(), 2);
}

#[tokio::test]
async fn a_token_that_ends_at_once_is_not_kept() {
    let service = hands_out(r#","expires_in":0"#);
    let registry = sends_to(&realm_of(&service));
    let client = client(&registry.address(), listed(&service));
    for _ in 0..2 {
        client.tags("team/app").await.unwrap();
    }
    assert_eq!(registry.presented(), [None, bearer("token-0"), None, bearer("token-1")]);
}

#[tokio::test]
async fn what_is_no_token_is_not_presented() {
    for answer in [r#"{"token":"a\r\nX-Injected: b"}"#, "{}", "no JSON"] {
        let service = Listener::start(move |_| Reply::new(200, answer));
        let registry = sends_to(&realm_of(&service));
        let reason = malformed(client(&registry.address(), listed(&service)).tags("team/app").await);
        assert_eq!(reason, format!("{} hands out no token", service.address()));
        assert_eq!(registry.presented(), [None]);
    }
    let service = Listener::start(|_| Reply::endless(200, &" ".repeat(4096)));
    let registry = sends_to(&realm_of(&service));
    let reason = malformed(client(&registry.address(), listed(&service)).tags("team/app").await);
    assert_eq!(reason, format!("{}: the answer is longer than 262144 bytes", service.address()));
}

#[tokio::test]
async fn a_login_goes_to_the_registry_alone_and_only_when_it_asks() {
    let foreign = Listener::foreign();
    let header = format!("Basic realm=\"{}\"", realm_of(&foreign));
    let registry = Listener::start(move |asked| match asked.header("authorization") {
        Some(_) => tags(),
        None => challenge(&header),
    });
    let known = client(&registry.address(), with_user(USER, PASSWORD));
    known.tags("team/app").await.unwrap();
    known.tags("team/app").await.unwrap();
    assert_eq!(registry.presented(), [None, presented(), presented()]);
    let nobody = client(&registry.address(), plain());
    assert!(matches!(nobody.tags("team/app").await, Err(OciError::Denied { .. })));
    assert_eq!(registry.asked().len(), 4);
    assert!(!foreign.was_connected());
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_presented_again_at_once() {
    let registry = Listener::start(|_| challenge("Basic realm=\"x\""));
    let client = client(&registry.address(), with_user(USER, PASSWORD));
    assert!(matches!(client.tags("team/app").await, Err(OciError::Denied { .. })));
    assert_eq!(registry.presented(), [None, presented()]);
}

#[tokio::test]
async fn nothing_is_presented_to_who_asks_in_an_odd_way() {
    for header in ["", "Digest realm=\"x\"", "Bearer", "Bearer realm=\"http://x", "Bearer realm=\"\u{e4}\""] {
        let registry = Listener::start(move |_| challenge(header));
        malformed(client(&registry.address(), with_user(USER, PASSWORD)).tags("team/app").await);
        assert_eq!(registry.presented(), [None], "{header}");
    }
}

#[tokio::test]
async fn no_text_holds_a_secret() {
    let service = hands_out("");
    let header = format!("Bearer realm=\"{}?signature=hidden\"", realm_of(&service));
    let registry = Listener::start(move |_| challenge(&header));
    let client = client(&registry.address(), listed(&service));
    let error = client.tags("team/app").await.unwrap_err();
    let printed = format!("{error} {error:?} {client:?}");
    for secret in [PASSWORD, "token-0", "hidden", presented().unwrap().as_str()] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn who_limits_is_told_from_who_fails() {
    let answering = |status, headers: &'static [(&str, &str)]| {
        let reply = Reply::new(status, r#"{"errors":[{"code":"UNAVAILABLE","message":"<script>"}]}"#);
        let reply = headers.iter().fold(reply, |reply, (name, value)| reply.with(name, value));
        Listener::start(move |_| reply.clone())
    };
    for (value, after) in
        [("30", Some(30)), ("99999999999", Some(3600)), ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)), ("soon", None)]
    {
        let reply = Reply::new(429, "").with("Retry-After", value);
        let registry = Listener::start(move |_| reply.clone());
        let outcome = client(&registry.address(), plain()).tags("team/app").await;
        let after = after.map(Duration::from_secs);
        assert_eq!(outcome, Err(OciError::Throttled { registry: registry.address(), after }));
    }
    let registry = answering(503, &[]);
    let reason = "it answers 503 (UNAVAILABLE)".to_owned();
    let outcome = client(&registry.address(), plain()).manifest("team/app", "1").await;
    assert_eq!(outcome, Err(OciError::Unreachable { registry: registry.address(), reason }));
    let registry = answering(418, &[]);
    assert_eq!(malformed(client(&registry.address(), plain()).tags("team/app").await), "it answers 418 (UNAVAILABLE)");
    // And the same of the token service.
    let service = answering(503, &[]);
    let registry = sends_to(&realm_of(&service));
    let outcome = client(&registry.address(), listed(&service)).tags("team/app").await;
    let reason = format!("{} answers 503 (UNAVAILABLE)", service.address());
    assert_eq!(outcome, Err(OciError::Unreachable { registry: registry.address(), reason }));
}
