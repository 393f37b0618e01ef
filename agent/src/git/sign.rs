//! SSH signatures on commits, made in this process.

use super::ssh_key::read;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

/// A key that signs commits (the format `ssh` of Git's `gpg.format`).
pub struct SigningKey(PrivateKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SigningKey({})", self.0.fingerprint(HashAlg::Sha256))
    }
}

impl SigningKey {
    /// Reads a private key in OpenSSH's format.
    ///
    /// # Errors
    /// A sentence without anything of the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let key = read(&(text.trim_end().to_owned() + "\n"))
            .map_err(|_| "the signing key is not an ed25519 or ECDSA key in OpenSSH's format".to_owned())?;
        if key.is_encrypted() {
            return Err("the signing key has a passphrase; the agent cannot ask for it".to_owned());
        }
        let key = Self(key);
        key.sign(b"probe").map_err(|reason| format!("the signing key cannot sign: {reason}"))?;
        Ok(key)
    }

    /// The signature of a commit's bytes, as its header `gpgsig` has it.
    pub(super) fn sign(&self, payload: &[u8]) -> Result<String, String> {
        // Git's namespace for signatures of its objects.
        let signature = self.0.sign("git", HashAlg::Sha512, payload).map_err(|error| error.to_string())?;
        let pem = signature.to_pem(LineEnding::LF).map_err(|error| error.to_string())?;
        Ok(pem.trim_end().to_owned())
    }
}
