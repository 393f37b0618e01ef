//! A real registry that behaves.

use super::{client, forbidden, plain, with_user};
use lockstep::oci::{Access, OciError};
use lockstep_tests::{
    certificates::Certificates,
    registry::{Doors, ImageSpec, Options, PASSWORD, Registry, TokenService, USER},
};
use serde_json::Value;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn two_platforms() -> ImageSpec {
    ImageSpec::of(&["linux/amd64", "linux/arm64"]).labelled("org.opencontainers.image.revision", "0123abc").attested()
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn tags_manifests_and_configurations_are_read() {
    let registry = Registry::start();
    let pushed = registry.push("team/app", "1.2.0", &two_platforms());
    let single = registry.push("team/app", "1.1.0", &ImageSpec::of(&["linux/amd64"]));
    let client = client(registry.address(), plain());

    let mut tags = client.tags("team/app").await.unwrap();
    tags.sort();
    assert_eq!(tags, ["1.1.0", "1.2.0"]);

    let index = client.manifest("team/app", "1.2.0").await.unwrap().unwrap();
    assert_eq!((index.digest.as_str(), index.media_type.as_str()), (pushed.as_str(), INDEX));
    assert_eq!(client.manifest("team/app", &pushed).await.unwrap(), Some(index.clone()));
    let entries = json(&index.body)["manifests"].as_array().unwrap().clone();
    let platforms: Vec<String> = entries
        .iter()
        .map(|entry| format!("{}/{}", entry["platform"]["os"], entry["platform"]["architecture"]).replace('"', ""))
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"]);

    let manifest = client.manifest("team/app", entries[1]["digest"].as_str().unwrap()).await.unwrap().unwrap();
    assert_eq!(manifest.media_type, MANIFEST);
    let configuration = json(&manifest.body)["config"]["digest"].as_str().unwrap().to_owned();
    let configuration = json(&client.blob("team/app", &configuration).await.unwrap());
    assert_eq!(configuration["architecture"], "arm64");
    assert_eq!(configuration["config"]["Labels"]["org.opencontainers.image.revision"], "0123abc");

    let alone = client.manifest("team/app", "1.1.0").await.unwrap().unwrap();
    assert_eq!((alone.digest, alone.media_type.as_str()), (single, MANIFEST));
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_cannot_be_read() {
    let registry = Registry::start();
    registry.push("team/app", "1.2.0", &ImageSpec::of(&["linux/amd64"]));
    let client = client(registry.address(), plain());
    let nowhere = format!("sha256:{}", "0".repeat(64));
    assert_eq!(client.manifest("team/app", "9.9.9").await, Ok(None));
    assert_eq!(client.manifest("team/app", &nowhere).await, Ok(None));
    assert_eq!(client.manifest("team/other", "1.2.0").await, Ok(None));
    let what = |error: OciError| match error {
        OciError::NotFound { what, .. } => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what(client.tags("team/other").await.unwrap_err()), "repository team/other");
    assert_eq!(what(client.blob("team/app", &nowhere).await.unwrap_err()), format!("{nowhere} in team/app"));
}

#[tokio::test]
async fn a_tag_that_moves_is_read_anew() {
    let registry = Registry::start();
    let client = client(registry.address(), plain());
    for revision in ["a", "b"] {
        let image = ImageSpec::of(&["linux/amd64"]).labelled("revision", revision);
        let pushed = registry.push("team/app", "latest", &image);
        assert_eq!(client.manifest("team/app", "latest").await.unwrap().unwrap().digest, pushed);
    }
}

#[tokio::test]
async fn a_login_is_presented() {
    let registry = Registry::with(&Options { doors: Doors::Login, ..Options::default() });
    let pushed = registry.push("team/app", "1.2.0", &two_platforms());
    let known = client(registry.address(), with_user(USER, PASSWORD));
    assert_eq!(known.manifest("team/app", "1.2.0").await.unwrap().unwrap().digest, pushed);
    assert_eq!(known.tags("team/app").await.unwrap(), ["1.2.0"]);

    let address = registry.address();
    let nobody = client(address, plain()).tags("team/app").await.unwrap_err();
    assert!(matches!(nobody, OciError::Denied { .. }));
    assert_eq!(
        nobody.to_string(),
        format!(
            "the registry {address} refuses: not everybody may read team/app, and no credentials are configured for it"
        )
    );
    let wrong = client(address, with_user(USER, "wrong")).manifest("team/app", "1.2.0").await.unwrap_err();
    assert!(matches!(wrong, OciError::Denied { .. }));
    assert_eq!(
        wrong.to_string(),
        format!("the registry {address} refuses: the credentials that are configured for it may not read team/app")
    );
}

#[tokio::test]
async fn a_token_is_fetched_once_for_each_repository() {
    let service = TokenService::start();
    let registry = Registry::with(&Options { doors: Doors::Tokens(&service), ..Options::default() });
    let pushed = registry.push("team/app", "1.2.0", &two_platforms());
    registry.push("team/other", "1", &two_platforms());
    let before = service.listener().asked().len();
    let token_hosts = vec![service.listener().address()];
    let client = client(registry.address(), Access { token_hosts, ..with_user(USER, PASSWORD) });
    assert_eq!(client.manifest("team/app", "1.2.0").await.unwrap().unwrap().digest, pushed);
    assert_eq!(client.tags("team/app").await.unwrap(), ["1.2.0"]);
    assert_eq!(client.tags("team/other").await.unwrap(), ["1"]);
    let targets = service.listener().targets();
    assert_eq!(
        targets[before..],
        [
            "/token?service=tests&scope=repository%3Ateam%2Fapp%3Apull",
            "/token?service=tests&scope=repository%3Ateam%2Fother%3Apull"
        ]
    );
}

#[tokio::test]
async fn a_token_service_is_only_asked_where_it_is_listed() {
    let service = TokenService::start();
    let registry = Registry::with(&Options { doors: Doors::Tokens(&service), ..Options::default() });
    let reason = forbidden(client(registry.address(), with_user(USER, PASSWORD)).tags("team/app").await);
    assert_eq!(
        reason,
        format!(
            "it sends to {} for tokens, which the agent's file does not allow (registries.{}.tokenHosts)",
            service.listener().address(),
            registry.address()
        )
    );
    assert!(!service.listener().was_connected());

    let token_hosts = vec![service.listener().address()];
    let wrong = client(registry.address(), Access { token_hosts, ..with_user(USER, "wrong") });
    assert!(matches!(wrong.tags("team/app").await, Err(OciError::Denied { .. })));
}

#[tokio::test]
async fn tls_is_verified_against_the_authority() {
    let certificates = Certificates::new();
    let registry = Registry::with(&Options { tls: Some(&certificates), ..Options::default() });
    let pushed = registry.push("team/app", "1.2.0", &two_platforms());
    let exact = Access { exact: true, ..Access::default() };
    let access = Access { authority: Some(certificates.authority()), ..exact.clone() };
    let trusting = client(registry.address(), access.clone());
    assert_eq!(trusting.manifest("team/app", "1.2.0").await.unwrap().unwrap().digest, pushed);

    let error = client(registry.address(), exact).tags("team/app").await.unwrap_err();
    assert!(matches!(error, OciError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("invalid peer certificate: UnknownIssuer"), "{error}");

    let other = Certificates::new();
    let stranger = Access { authority: Some(other.authority()), ..access.clone() };
    let error = client(registry.address(), stranger).tags("team/app").await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");

    for (authority, reason) in [(certificates.empty(), "it holds no certificate"), ("/nowhere".into(), "No such file")]
    {
        let error = lockstep::oci::Registry::new("a", Access { authority: Some(authority), ..access.clone() });
        let error = error.unwrap_err();
        assert!(matches!(&error, OciError::Invalid { .. }) && error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn tls_is_not_given_up() {
    let registry = Registry::start();
    let error = client(registry.address(), Access { exact: true, ..Access::default() }).tags("team/app").await;
    assert!(matches!(error, Err(OciError::Unreachable { .. })), "{error:?}");
}
