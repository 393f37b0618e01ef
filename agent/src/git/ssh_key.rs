//! The private key for `ssh://`: looked at before anybody is asked, and written for the `ssh` program alone, which takes
//! no key that others may read.

use base64::{Engine, engine::general_purpose::STANDARD};
use ssh_key::PrivateKey;
use std::{fmt, io::Write, path::Path, sync::Arc};

/// A private key that the `ssh` program can use without asking anybody.
#[derive(Clone)]
pub struct SshKey(Arc<Written>);

struct Written {
    text: String,
    /// Such files are readable by their owner only.
    file: tempfile::NamedTempFile,
}

impl PartialEq for SshKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for SshKey {}

impl fmt::Debug for SshKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SshKey(…)")
    }
}

impl SshKey {
    /// Takes a key's text, whatever its lines end with.
    ///
    /// # Errors
    /// A sentence without anything of the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = normalise(text);
        judge(&text)?;
        let fail = |error: std::io::Error| format!("failed to write the SSH key for the ssh program: {error}");
        let mut file = tempfile::Builder::new().prefix("lockstep-").tempfile().map_err(fail)?;
        file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(fail)?;
        Ok(Self(Arc::new(Written { text, file })))
    }

    /// The file with the key.
    pub(super) fn path(&self) -> &Path {
        self.0.file.path()
    }
}

/// The lines as the `ssh` program wants them.
fn normalise(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim();
    text.lines().map(str::trim_end).fold(String::with_capacity(text.len() + 1), |mut all, line| {
        all.push_str(line);
        all.push('\n');
        all
    })
}

/// Says why a key is of no use.
fn judge(text: &str) -> Result<(), String> {
    let first = text.lines().next().unwrap_or_default();
    let label = first.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
    let passphrase = "the SSH key has a passphrase, and the agent cannot ask for it. Name a key without one, for this \
                      repository alone (a deploy key)";
    let is_public = ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| first.starts_with(kind));
    if is_public || label.is_some_and(|label| label.contains("PUBLIC KEY")) {
        return Err("the SSH key is a public key. Name the private one, the file without `.pub`".to_owned());
    }
    if first.starts_with("PuTTY-User-Key-File") {
        return Err(
            "the SSH key is in PuTTY's format. Convert it: `puttygen KEY.ppk -O private-openssh -o KEY`".to_owned()
        );
    }
    let Some(label) = label.filter(|label| label.ends_with("PRIVATE KEY")) else {
        return Err(
            "the SSH key is no private key: it does not begin with `-----BEGIN OPENSSH PRIVATE KEY-----`".to_owned()
        );
    };
    if label.starts_with("ENCRYPTED") || text.lines().nth(1).is_some_and(|line| line.contains("ENCRYPTED")) {
        return Err(passphrase.to_owned());
    }
    if !text.contains(&format!("-----END {label}-----")) {
        return Err("the SSH key is cut off: its last line is missing".to_owned());
    }
    if label != "OPENSSH PRIVATE KEY" {
        // An older format, which the ssh program reads.
        return Ok(());
    }
    match read(text) {
        Ok(key) if key.is_encrypted() => Err(passphrase.to_owned()),
        Ok(_) => Ok(()),
        // What is not read here the program may know: another kind, or an ECDSA key whose number is short.
        Err(_) if is_whole(text) => Ok(()),
        Err(error) => Err(format!("the SSH key is damaged: {error}")),
    }
}

/// Reads a private key in OpenSSH's format.
///
/// # Errors
/// As the library says.
pub(super) fn read(text: &str) -> Result<PrivateKey, ssh_key::Error> {
    let read = PrivateKey::from_openssh(text);
    match padded(text).filter(|_| read.is_err()) {
        Some(padded) => PrivateKey::from_openssh(padded),
        None => read,
    }
}

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The public and the private part of a key without a passphrase, if they are as long as they say, to the last byte
/// (OpenSSH's PROTOCOL.key).
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let head = (part(&mut rest)?, part(&mut rest)?, part(&mut rest)?, number(&mut rest)?);
    let parts = (part(&mut rest)?, part(&mut rest)?);
    (head == (b"none", b"none", b"", 1) && rest.is_empty()).then_some(parts)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).ok()
}

fn is_whole(text: &str) -> bool {
    decoded(text).is_some_and(|bytes| parts(&bytes).is_some())
}

/// The same ECDSA key with its private number in full length. OpenSSH leaves leading zeros out, and the library wants
/// them: one key of 256 has some.
fn padded(text: &str) -> Option<String> {
    let bytes = decoded(text)?;
    let (public, mut private) = parts(&bytes)?;
    let checks = private.split_off(..8)?;
    let (kind, curve, point) = (part(&mut private)?, part(&mut private)?, part(&mut private)?);
    let (secret, comment) = (part(&mut private)?, part(&mut private)?);
    let length: usize = match curve {
        b"nistp256" => 32,
        b"nistp384" => 48,
        b"nistp521" => 66,
        _ => return None,
    };
    let zeros = length.checked_sub(secret.len()).filter(|zeros| *zeros > 0)?;
    let secret = [vec![0; zeros].as_slice(), secret].concat();
    Some(encoded(public, checks, &[kind, curve, point, &secret, comment]))
}

/// The text of a key without a passphrase.
fn encoded(public: &[u8], checks: &[u8], fields: &[&[u8]]) -> String {
    let with_length = |part: &[u8]| [&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes(), part].concat();
    let mut section = checks.to_vec();
    fields.iter().for_each(|field| section.extend(with_length(field)));
    section.extend((1..8).take((8 - section.len() % 8) % 8));
    let mut all = MAGIC.to_vec();
    [b"none".as_slice(), b"none", b""].iter().for_each(|part| all.extend(with_length(part)));
    all.extend([0, 0, 0, 1]);
    all.extend(with_length(public));
    all.extend(with_length(&section));
    let body = STANDARD.encode(all);
    let lines: Vec<String> =
        body.as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", lines.join("\n"))
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

/// A part that begins with its length.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, process::Command};

    fn keygen(arguments: &[&str]) -> (String, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-C", "", "-f"]).arg(&path).args(arguments).status();
        assert!(made.unwrap().success());
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        (read(&path), read(&path.with_extension("pub")))
    }

    // D4
    #[test]
    fn keys_of_all_kinds_are_taken_whatever_their_lines_end_with() {
        for kind in [
            &["-t", "ed25519"][..],
            &["-t", "rsa", "-b", "2048"],
            &["-t", "ecdsa", "-b", "521"],
            &["-t", "rsa", "-m", "PEM"],
        ] {
            let (key, _) = keygen(&[kind, &["-N", ""]].concat());
            for text in
                [key.clone(), key.trim_end().to_owned(), key.replace('\n', "\r\n"), format!("\u{feff}\n{key}\n\n")]
            {
                let taken = SshKey::parse(&text).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
                assert_eq!(std::fs::read_to_string(taken.path()).unwrap(), key);
                let mode = std::fs::metadata(taken.path()).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                assert_eq!(taken, SshKey::parse(&key).unwrap());
                assert_eq!(format!("{taken:?}"), "SshKey(…)");
            }
        }
    }

    /// An ECDSA key with a private number that begins with zeros, as one key of 256 has it.
    fn shortened(key: &str) -> String {
        let bytes = decoded(key).unwrap();
        let (public, mut private) = parts(&bytes).unwrap();
        let checks = private.split_off(..8).unwrap();
        let [kind, curve, point, secret, comment] = [(); 5].map(|()| part(&mut private).unwrap());
        let short = [&[1], &secret[secret.len() - 30..]].concat();
        encoded(public, checks, &[kind, curve, point, &short, comment])
    }

    // D4
    #[test]
    fn a_key_whose_number_is_short_is_taken_and_read() {
        for bits in ["256", "384", "521"] {
            let (key, _) = keygen(&["-t", "ecdsa", "-b", bits, "-N", ""]);
            let short = shortened(&key);
            assert!(PrivateKey::from_openssh(&short).is_err(), "else there is nothing to test");
            assert!(read(&short).is_ok() && read(&key).is_ok(), "{bits}");
            // The program is given what was written.
            assert_eq!(SshKey::parse(&short).map(|taken| taken.0.text.clone()), Ok(short.clone()));
            let lines: Vec<&str> = short.lines().collect();
            let without_one = [&lines[..2], &lines[3..]].concat().join("\n");
            assert!(SshKey::parse(&without_one).unwrap_err().starts_with("the SSH key is damaged"));
        }
    }

    // D4
    #[test]
    fn keys_of_no_use_are_refused_with_the_reason() {
        let (key, public) = keygen(&["-t", "ed25519", "-N", ""]);
        let (protected, _) = keygen(&["-t", "ed25519", "-N", "secret-canary"]);
        let (old, _) = keygen(&["-t", "rsa", "-m", "PEM", "-N", "secret-canary"]);
        let half = &key[..key.len() / 2];
        let lines: Vec<&str> = key.lines().collect();
        let without_one = [lines[0], lines[2], lines[lines.len() - 1]].join("\n");
        for (text, reason) in [
            (public.as_str(), "is a public key"),
            (&protected, "has a passphrase"),
            (&old, "has a passphrase"),
            (half, "is cut off"),
            (&without_one, "is damaged"),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTY's format"),
            ("", "is no private key"),
            ("glpat-token", "is no private key"),
        ] {
            let error = SshKey::parse(text).unwrap_err();
            assert!(error.starts_with("the SSH key ") && error.contains(reason), "{error}");
            assert!(!error.contains("canary") && !error.contains(lines[1]), "{error}");
        }
    }
}
