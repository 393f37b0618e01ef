//! A private certificate authority, or a server's own certificate, that a file names. It is trusted beside the system's
//! authorities.
//!
//! Many servers have a certificate that signs itself and says that it is an authority: that is what `openssl req -x509`
//! makes. Git and curl take it where their file names it. The library does not, because an authority is no server; so it is
//! taken here if it is in the file letter for letter. Its time and its names are checked as those of any other.

use reqwest::ClientBuilder;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// TLS that trusts the system's authorities and a file's.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn trusting(path: &Path) -> Result<ClientConfig, String> {
    let fail = |reason: String| format!("the certificate authority {}: {reason}", path.display());
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let named: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| fail(format!("it is no PEM file: {error}")))?;
    if named.is_empty() {
        let has_key = pem.windows(11).any(|part| part == b"PRIVATE KEY");
        let reason = if has_key { "it holds a key, and no certificate" } else { "it holds no certificate" };
        return Err(fail(reason.to_owned()));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner =
        Verifier::new_with_extra_roots(named.clone(), provider.clone()).map_err(|error| fail(error.to_string()))?;
    config(provider, Trusted { inner, named }).map_err(|error| fail(error.to_string()))
}

/// How long the system's authorities are used before they are read again.
const SYSTEM_AGE: Duration = Duration::from_secs(3600);

/// A client with TLS that trusts the system's authorities. They are hundreds of files, and are read once an hour, not for
/// each client.
pub(crate) fn with_system(builder: ClientBuilder) -> ClientBuilder {
    static KNOWN: Mutex<Option<(Instant, ClientConfig)>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = known.as_ref().filter(|(at, _)| at.elapsed() < SYSTEM_AGE) {
        return builder.tls_backend_preconfigured(config.clone());
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let read = Verifier::new(provider.clone()).and_then(|verifier| config(provider, verifier));
    match read {
        Ok(config) => {
            *known = Some((Instant::now(), config.clone()));
            builder.tls_backend_preconfigured(config)
        }
        // Whoever builds the client finds the same, and says it.
        Err(_) => builder,
    }
}

fn config(provider: Arc<CryptoProvider>, verifier: impl ServerCertVerifier + 'static) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Trusted {
    inner: Verifier,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Said only of one whose time is right.
            Err(Error::InvalidCertificate(CertificateError::Other(other)))
                if other.to_string() == "CaUsedAsEndEntity" && self.named.iter().any(|named| named == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
