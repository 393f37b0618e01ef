//! Whom a request is for. A page in a browser can reach loopback under a name of its own, which its owner lets resolve
//! to 127.0.0.1; such a request still carries that name.

use axum::http::{HeaderMap, Uri, header, uri::Authority};
use std::net::IpAddr;

/// Whether a request is for this machine by everything that it says of it: its one `Host`, and its target where that
/// names a host too.
pub(super) fn is_for_loopback(headers: &HeaderMap, target: &Uri) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let is_host = host.to_str().is_ok_and(names_loopback);
    is_host && target.authority().is_none_or(|authority| names_loopback(authority.as_str()))
}

/// Whether a host, with or without a port, is `localhost` or an address of loopback.
fn names_loopback(written: &str) -> bool {
    // A user before the host is for another kind of URL.
    let Some(authority) = written.parse::<Authority>().ok().filter(|_| !written.contains('@')) else { return false };
    let host = authority.host();
    let after = written.get(host.len()..).unwrap_or_default();
    let is_port = after.is_empty() || after.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>();
    is_port && (host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // H3
    #[test]
    fn a_host_is_read_as_an_address() {
        for host in ["localhost", "LocalHost:7700", "127.0.0.1", "127.0.0.1:7700", "127.255.0.3", "[::1]", "[::1]:7700"]
        {
            assert!(names_loopback(host), "{host}");
        }
        for host in [
            "",
            "127.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "localhost.evil.example",
            "localhost.",
            "evil.example",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[::1",
            "::1]",
            "127.0.0.1:port",
            "127.0.0.1:99999",
            "127.0.0.1:",
            "127.0.0.1/evil",
            "127.0.0.1 evil",
        ] {
            assert!(!names_loopback(host), "{host}");
        }
    }

    #[test]
    fn one_host_and_the_target_agree() {
        let headers = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            headers
        };
        let own = headers(&["127.0.0.1:7700"]);
        for target in ["/api/v1/state", "http://localhost:7700/api/v1/state"] {
            assert!(is_for_loopback(&own, &target.parse().unwrap()), "{target}");
        }
        for target in ["http://evil.example/", "http://127.evil.example/", "http://a@127.0.0.1/"] {
            assert!(!is_for_loopback(&own, &target.parse().unwrap()), "{target}");
        }
        let target: Uri = "/".parse().unwrap();
        for hosts in [&[][..], &["127.0.0.1", "evil.example"], &["127.0.0.1", "127.0.0.1"], &["evil.example"]] {
            assert!(!is_for_loopback(&headers(hosts), &target), "{hosts:?}");
        }
    }
}
