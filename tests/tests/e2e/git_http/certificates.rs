//! Servers that only a file of one's own vouches for.

use super::{Rig, TOKEN, secured};
use lockstep::git::GitError;
use lockstep_tests::{certificates::Certificates, git_http::GitServer};

impl Rig {
    fn presenting(certificates: Certificates) -> Self {
        let mut rig = Self::new(&secured());
        rig.server = GitServer::presenting(rig.root.path(), &secured(), Some(certificates));
        rig
    }
}

// E2: Git and curl take a certificate that signs itself where their file names it.
#[test]
fn a_certificate_that_signs_itself_is_taken_where_the_file_names_it() {
    for is_authority in [true, false] {
        let rig = Rig::presenting(Certificates::self_signed(is_authority, &["127.0.0.1"], false));
        let tip = rig.open_with(Some(TOKEN), rig.server.authority().as_deref()).tip();
        assert!(tip.is_ok(), "{is_authority}: {tip:?}");
    }
}

// E2: nothing else of it is taken on trust.
#[test]
fn a_certificate_that_signs_itself_is_checked_all_the_same() {
    for is_authority in [true, false] {
        let others = Certificates::self_signed(is_authority, &["127.0.0.1"], false);
        for (certificates, authority, says) in [
            (Certificates::self_signed(is_authority, &["git.example.com"], false), None, "certificate"),
            (Certificates::self_signed(is_authority, &["127.0.0.1"], true), None, "xpired"),
            (Certificates::self_signed(is_authority, &["127.0.0.1"], false), Some(others.authority()), "certificate"),
        ] {
            let rig = Rig::presenting(certificates);
            let authority = authority.or_else(|| rig.server.authority());
            let error = rig.open_with(Some(TOKEN), authority.as_deref()).tip().unwrap_err();
            assert!(
                matches!(&error, GitError::Unreachable { reason, .. } if reason.contains(says)),
                "{says}: {error:?}"
            );
            assert_eq!(rig.server.requests(), []);
        }
    }
}

// E2
#[test]
fn a_file_without_a_certificate_is_named() {
    let rig = Rig::new(&secured());
    let certificates = Certificates::new();
    for (file, reason) in [
        (certificates.empty(), "it holds no certificate"),
        (certificates.key(), "it holds a key, and no certificate"),
        (rig.state.path().join("nowhere.pem"), "No such file or directory (os error 2)"),
    ] {
        let error = rig.open_with(Some(TOKEN), Some(&file)).tip().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "failed to read the repository {}: the certificate authority {}: {reason}",
                rig.server.url("deploy"),
                file.display()
            )
        );
        assert_eq!(rig.server.requests(), []);
    }
}
