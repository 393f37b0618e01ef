//! Tags of AWS's objects.

use std::collections::BTreeMap;

/// Tags of an object.
pub type Tags = BTreeMap<String, String>;

/// A text cut to what a tag's value may hold: 256 letters, digits, spaces and `+-=._:/@`.
pub fn tag_text(text: &str) -> String {
    let mut result = String::new();
    for letter in text.chars() {
        let letter = if letter.is_alphanumeric() || "+-=._:/@ ".contains(letter) { letter } else { ' ' };
        if !(letter == ' ' && result.ends_with(' ')) {
            result.push(letter);
        }
    }
    result.trim().chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_texts_hold_only_what_tags_allow() {
        assert_eq!(tag_text("exit 1 (web) “boom”\n  x"), "exit 1 web boom x");
        assert_eq!(tag_text(&"a".repeat(300)).len(), 256);
    }
}
