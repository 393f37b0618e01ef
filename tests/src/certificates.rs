//! A certificate authority that nobody else knows, with a certificate for loopback.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// The authority and what it signed, as files in PEM.
pub struct Certificates {
    directory: TempDir,
    pub(crate) config: Arc<ServerConfig>,
}

impl Certificates {
    /// A new authority.
    pub fn new() -> Self {
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
        let server =
            named("server", &["127.0.0.1", "localhost"]).signed_by(&key, &issuer).expect("the authority signs");
        let directory = TempDir::new().expect("a temporary directory can be made");
        for (name, pem) in
            [("authority.pem", own.pem()), ("server.pem", server.pem()), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(directory.path().join(name), pem).expect("a file can be written");
        }
        let config = serving(server.der().clone(), &key);
        Self { directory, config }
    }

    /// A certificate that signs itself, named as the authority. It may say that it is an authority, as
    /// `openssl req -x509` has it, or not; be for these names, and be over.
    pub fn self_signed(is_authority: bool, names: &[&str], is_over: bool) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("the names are addresses");
        params.distinguished_name.push(DnType::CommonName, "self");
        params.is_ca = if is_authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        if is_over {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let own = params.self_signed(&key).expect("it signs itself");
        let directory = TempDir::new().expect("a temporary directory can be made");
        for (name, pem) in [("authority.pem", own.pem()), ("server.pem", own.pem()), ("key.pem", key.serialize_pem())] {
            std::fs::write(directory.path().join(name), pem).expect("a file can be written");
        }
        let config = serving(own.der().clone(), &key);
        Self { directory, config }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The authority's own certificate, for who shall trust it.
    pub fn authority(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// The server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.file("key.pem")
    }

    /// A file that is there and holds no certificate.
    pub fn empty(&self) -> PathBuf {
        let path: &Path = &self.file("empty.pem");
        std::fs::write(path, "").expect("a file can be written");
        path.to_owned()
    }
}

/// What a server with this certificate says.
fn serving(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is PKCS #8");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Speaks TLS on a connection. The handshake happens with the first byte that is read.
pub(crate) fn accept(
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
