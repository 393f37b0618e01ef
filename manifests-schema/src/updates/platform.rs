//! Platforms as image indexes name them.

use std::fmt;

/// What ECS runs tasks on, as image indexes name it.
const SYSTEMS: [&str; 2] = ["linux", "windows"];
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

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
        let parts: Vec<&str> = text.split('/').collect();
        let ([os, architecture] | [os, architecture, _]) = parts.as_slice() else {
            return Err(format!("`{text}` is not a platform like linux/arm64"));
        };
        if !SYSTEMS.contains(os) {
            return Err(format!("`{text}` is not a platform: ECS runs {}", SYSTEMS.join(" and ")));
        }
        if !ARCHITECTURES.contains(architecture) {
            let meant = match *architecture {
                "aarch64" | "arm" => format!("{os}/arm64"),
                "x86_64" | "x64" | "x86-64" => format!("{os}/amd64"),
                _ => return Err(format!("`{text}` is not a platform: ECS runs {}", ARCHITECTURES.join(" and "))),
            };
            return Err(format!("`{text}` is not a platform: images call it {meant}"));
        }
        Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned() })
    }
}
