//! Identifiers from a seeded generator, so that a run can be repeated.

use sha2::{Digest, Sha256};

/// A small pseudo-random generator (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    state: u64,
}

impl Ids {
    /// A generator of its own for each `purpose`.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in purpose.bytes() {
            state = state.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
        }
        Self { state }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| alphabet[(self.next() % alphabet.len() as u64) as usize] as char).collect()
    }

    pub(crate) fn hex(&mut self, length: usize) -> String {
        self.pick(b"0123456789abcdef", length)
    }

    pub(crate) fn digits(&mut self, length: usize) -> String {
        self.pick(b"0123456789", length)
    }

    pub(crate) fn letters(&mut self, length: usize) -> String {
        self.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
    }

    /// The form of a service deployment's id.
    pub(crate) fn slug(&mut self, length: usize) -> String {
        self.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", length)
    }

    /// The form of an access key's random part.
    pub(crate) fn capitals(&mut self, length: usize) -> String {
        self.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length)
    }

    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.hex(30);
        let variant = self.pick(b"89ab", 1);
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

/// `sha256:` and the hash of the text: the form of an image digest.
pub(crate) fn digest_of(text: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(text.as_bytes())))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reverse of [`hex`].
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            if at <= chunk.len() {
                text.push(ALPHABET[(word >> (18 - 6 * at) & 63) as usize] as char);
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        assert_eq!(Ids::new(1, "a").uuid(), Ids::new(1, "a").uuid());
        assert_ne!(Ids::new(1, "a").uuid(), Ids::new(1, "b").uuid());
        assert_eq!(Ids::new(1, "a").uuid().len(), 36);
    }

    #[test]
    fn encodings() {
        assert_eq!(base64(b"AWS:x"), "QVdTOng=");
        assert_eq!(base64(b"AWS"), "QVdT");
        assert_eq!(unhex(&hex(b"next")).as_deref(), Some(&b"next"[..]));
        assert_eq!(digest_of("")[..15], *"sha256:e3b0c442");
    }
}
