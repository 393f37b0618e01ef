//! Which addresses may be reached. A name resolves to whatever its owner likes, so the decision is made with the
//! addresses that the connection would go to, not before. Behind a proxy, names are the proxy's to resolve.

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Who may reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Anybody.
    Public,
    /// Only whom the agent's file names letter for letter.
    Private(&'static str),
    /// Nobody: machines answer there with their own credentials, or it is no single machine.
    Never(&'static str),
}

/// Why an address is not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

/// Says whether an address may be reached; `private` where the agent's file names its host letter for letter.
pub(super) fn admit(address: IpAddr, private: bool) -> Result<(), Refused> {
    match reach(address) {
        Reach::Public => Ok(()),
        Reach::Private(_) if private => Ok(()),
        Reach::Private(kind) => Err(Refused(format!(
            "its address {address} is {kind}, and only a host that the agent's file names letter for letter may have such a one"
        ))),
        Reach::Never(kind) => Err(Refused(format!("its address {address} is {kind}, which is never reached"))),
    }
}

/// The address that a URL names outright, in any of the forms that URLs know: connections to it ask no resolver.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(['.', ']']).parse().ok()
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_of_four(address),
        IpAddr::V6(address) => reach_of_six(address),
    }
}

fn reach_of_four(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0, ..] => Reach::Never("unspecified"),
        [169, 254, ..] => Reach::Never("link-local"),
        [224..=239, ..] => Reach::Never("multicast"),
        [240..=255, ..] => Reach::Never("reserved"),
        [127, ..] => Reach::Private("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Reach::Private("private"),
        [100, 64..=127, ..] => Reach::Private("of a carrier's network"),
        // Protocol assignments and benchmarks: no host on the internet has them, some networks use them inside.
        [192, 0, 0, _] | [198, 18..=19, ..] => Reach::Private("of special use"),
        _ => Reach::Public,
    }
}

fn reach_of_six(address: Ipv6Addr) -> Reach {
    if address.is_unspecified() {
        return Reach::Never("unspecified");
    }
    if address.is_loopback() {
        return Reach::Private("loopback");
    }
    if let Some(inner) = embedded(address) {
        return reach_of_four(inner);
    }
    match address.segments() {
        // The services that AWS offers to each instance: metadata, credentials of pods, time, names.
        [0xfd00, 0x0ec2, ..] => Reach::Never("of the instance's own services"),
        [0xfe80..=0xfebf, ..] => Reach::Never("link-local"),
        [0xff00..=0xffff, ..] => Reach::Never("multicast"),
        // A network's own translation prefix: which IPv4 address it means is only known there.
        [0x0064, 0xff9b, 1, ..] => Reach::Never("of a local translation"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Reach::Private("private"),
        _ => Reach::Public,
    }
}

/// The IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // Mapped, compatible, translated, and the well-known prefix of NAT64.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some(four(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => Some(four(high, low)),
        // Teredo, which inverts it.
        [0x2001, 0, .., high, low] => Some(four(!high, !low)),
        _ => None,
    }
}

/// Resolves names by the system, and keeps the addresses that may be reached.
pub(super) struct Guard {
    /// Whether private addresses may be reached.
    pub(super) private: bool,
    /// The names of the environment's proxies, which are inside more often than not.
    pub(super) proxies: BTreeSet<String>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let private = self.private || self.proxies.contains(&name.to_ascii_lowercase());
        Box::pin(async move {
            // The connector puts the URL's port in the place of 0.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(reachable(found, private)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be reached; why not, where it is none of them.
fn reachable(found: Vec<SocketAddr>, private: bool) -> Result<Vec<SocketAddr>, Refused> {
    let (mut allowed, mut refused) = (Vec::new(), None);
    for address in found {
        match admit(address.ip(), private) {
            Ok(()) => allowed.push(address),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(refused) if allowed.is_empty() => Err(refused),
        _ => Ok(allowed),
    }
}

/// The names of the proxies that environment variables set.
pub(super) fn proxies(variables: impl Iterator<Item = (String, String)>) -> BTreeSet<String> {
    const NAMES: [&str; 3] = ["http_proxy", "https_proxy", "all_proxy"];
    variables
        .filter(|(name, _)| NAMES.iter().any(|known| name.eq_ignore_ascii_case(known)))
        .filter_map(|(_, value)| {
            let url = if value.contains("://") { value } else { format!("http://{value}") };
            Url::parse(&url).ok()?.host_str().map(str::to_ascii_lowercase)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Reach {
        reach(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_reached_by_anybody() {
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.0.1",
            "172.32.0.1",
            "2606:4700::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert_eq!(of(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn private_addresses_are_for_hosts_that_are_named_letter_for_letter() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "192.0.0.8",
            "198.19.0.1",
            "::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
        ] {
            assert!(matches!(of(address), Reach::Private(_)), "{address}: {:?}", of(address));
            assert!(admit(address.parse().unwrap(), true).is_ok(), "{address}");
            assert!(admit(address.parse().unwrap(), false).is_err(), "{address}");
        }
    }

    #[test]
    fn some_addresses_are_reached_by_nobody() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            // Teredo with the inverted 169.254.169.254.
            "2001:0:1:2:3:4:5601:5601",
            "::ffff:0.0.0.0",
        ] {
            assert!(matches!(of(address), Reach::Never(_)), "{address}: {:?}", of(address));
            assert!(admit(address.parse().unwrap(), true).is_err(), "{address}");
        }
    }

    #[test]
    fn an_address_is_seen_in_all_its_forms() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
        ] {
            let url = Url::parse(&format!("https://{host}:5000/")).unwrap();
            assert_eq!(literal(&url), Some("127.0.0.1".parse().unwrap()), "{host}");
        }
        let url = |text: &str| literal(&Url::parse(text).unwrap());
        assert_eq!(url("http://[::ffff:169.254.169.254]/"), Some("::ffff:a9fe:a9fe".parse().unwrap()));
        assert_eq!(url("http://2852039166/"), Some("169.254.169.254".parse().unwrap()));
        assert_eq!(url("https://registry.example.com/"), None);
        assert_eq!(url("https://127.0.0.1.example.com/"), None);
    }

    #[test]
    fn a_name_is_reached_at_the_addresses_that_are_left() {
        let at = |addresses: &[&str]| -> Vec<SocketAddr> {
            addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect()
        };
        let mixed = at(&["169.254.169.254", "10.0.0.1", "1.1.1.1"]);
        assert_eq!(reachable(mixed.clone(), false), Ok(at(&["1.1.1.1"])));
        assert_eq!(reachable(mixed, true), Ok(at(&["10.0.0.1", "1.1.1.1"])));
        let refused = reachable(at(&["169.254.169.254", "10.0.0.1"]), false).unwrap_err();
        assert_eq!(refused.to_string(), "its address 169.254.169.254 is link-local, which is never reached");
        let refused = reachable(at(&["127.0.0.1"]), false).unwrap_err().to_string();
        assert_eq!(
            refused,
            "its address 127.0.0.1 is loopback, and only a host that the agent's file names letter for letter may have such a one"
        );
    }

    #[tokio::test]
    async fn localhost_is_resolved_and_refused() {
        let guard =
            |private, proxies: &[&str]| Guard { private, proxies: proxies.iter().map(ToString::to_string).collect() };
        let name = || "localhost".parse::<Name>().unwrap();
        let error = guard(false, &[]).resolve(name()).await.err().unwrap();
        assert!(error.downcast_ref::<Refused>().is_some(), "{error}");
        assert!(guard(true, &[]).resolve(name()).await.unwrap().all(|address| address.ip().is_loopback()));
        assert!(guard(false, &["localhost"]).resolve(name()).await.is_ok());
    }

    #[test]
    fn proxies_are_those_of_the_environment() {
        let variables = [
            ("HTTPS_PROXY", "http://user:pass@Proxy.internal:3128"),
            ("http_proxy", "other:8080"),
            ("ALL_PROXY", "socks5://third/"),
            ("NO_PROXY", "registry.example.com"),
            ("https_proxy", ""),
        ];
        let names = proxies(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["other", "proxy.internal", "third"]);
    }
}
