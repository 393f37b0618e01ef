//! TLS with a certificate authority that nobody else knows.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// The authority, with a certificate for the loopback address.
pub(super) struct Authority {
    config: Arc<ServerConfig>,
    file: PathBuf,
    _directory: TempDir,
}

/// Turns connections into TLS ones.
#[derive(Clone)]
pub(super) struct Acceptor(Arc<ServerConfig>);

impl Authority {
    pub(super) fn new() -> Self {
        let named = |name: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(names).expect("the names are addresses");
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut authority = named("tests", &[]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate().expect("a key can be made");
        let own = authority.self_signed(&authority_key).expect("the authority signs itself");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key can be made");
        let server = named("server", &["127.0.0.1"]).signed_by(&key, &issuer).expect("the authority signs");
        let directory = TempDir::new().expect("a temporary directory can be made");
        let file = directory.path().join("authority.pem");
        std::fs::write(&file, own.pem()).expect("the authority can be written");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is PKCS #8");
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config), file, _directory: directory }
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    pub(super) fn acceptor(&self) -> Acceptor {
        Acceptor(self.config.clone())
    }
}

impl Acceptor {
    /// The handshake happens with the first byte that is read.
    pub(super) fn accept(&self, stream: TcpStream) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let connection = ServerConnection::new(self.0.clone()).map_err(std::io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }
}
