//! A proxy of the environment, which has a private address as most have. The environment belongs to a whole process, so
//! the client runs in one of its own.

use super::{client, forbidden};
use lockstep::oci::{Access, OciError};
use lockstep_tests::listener::{Listener, Reply};

const PORT: &str = "LOCKSTEP_TESTS_PROXY_PORT";

#[test]
fn a_proxy_is_used_and_is_no_registry() {
    let proxy = Listener::start(|_| Reply::new(502, ""));
    let port = proxy.port().to_string();
    let outcome = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "oci::proxy::behind_a_proxy"])
        .env(PORT, &port)
        .env("HTTPS_PROXY", format!("http://localhost:{port}"))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
    let asked: Vec<String> = proxy.asked().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect();
    assert_eq!(asked, ["CONNECT registry.example.com:443"]);
}

/// What runs in the process of its own; without it this is nothing.
#[tokio::test]
async fn behind_a_proxy() {
    let Ok(port) = std::env::var(PORT) else { return };
    let outcome = client("registry.example.com", Access::default()).tags("team/app").await;
    assert!(matches!(outcome, Err(OciError::Unreachable { .. })), "{outcome:?}");
    let reason = forbidden(client(&format!("localhost:{port}"), Access::default()).tags("team/app").await);
    assert_eq!(reason, "this is the agent's own proxy");
    // Addresses are still seen.
    forbidden(client("169.254.169.254", Access::default()).tags("team/app").await);
}
