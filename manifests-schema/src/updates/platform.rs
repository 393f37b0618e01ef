//! Platforms as image indexes name them.

use std::fmt;

/// Operating system and architecture, `linux/arm64`. Variants are not compared: `arm64/v8` is `arm64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Platform {
    /// `linux`, `windows`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

impl std::str::FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture] | [os, architecture, _] if parts.iter().all(|part| is_name(part)) => {
                Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned() })
            }
            _ => Err(format!("`{text}` is not a platform like linux/arm64")),
        }
    }
}
