//! The MD5 sums by which clients see that a message came through whole.

use md5::{Digest, Md5};
use serde_json::{Map, Value};

use crate::ids::hex;

/// The sum of a body.
pub(super) fn of_body(body: &str) -> String {
    hex(&Md5::digest(body.as_bytes()))
}

/// The sum of attributes, which must be texts: by name, each part with its length before it. None without any.
pub(super) fn of_attributes(attributes: &Map<String, Value>) -> Option<String> {
    /// Marks a text, where a 2 would mark bytes.
    const TEXT: u8 = 1;
    let mut names: Vec<&String> = attributes.keys().collect();
    names.sort();
    let mut sum = Md5::new();
    let mut add = |text: &str, mark: Option<u8>| {
        sum.update(mark.as_slice());
        sum.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        sum.update(text);
    };
    for name in &names {
        let part = |member: &str| attributes[*name][member].as_str().unwrap_or_default();
        add(name, None);
        add(part("DataType"), None);
        add(part("StringValue"), Some(TEXT));
    }
    (!names.is_empty()).then(|| hex(&sum.finalize()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sums_are_those_of_the_service() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(of_attributes(&Map::new()), None);
        let attributes = json!({ "timestamp": { "StringValue": "1493147359900", "DataType": "Number" } });
        // The value that AWS's own documents of their SDKs show for this attribute.
        assert_eq!(of_attributes(attributes.as_object().unwrap()).as_deref(), Some("235c5c510d26fb653d073faed50ae77c"));
    }
}
