//! The one way out: what may reach a terminal. Texts from elsewhere (a commit's subject, a cluster's name, a line of a
//! file, AWS's words) must not move the cursor, change colours or turn the direction of writing, so everything that a
//! terminal would obey is replaced here, in all of the program's output. Our own colours get through because they are
//! marked with a number that nobody else knows.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

/// Stands for the escape of our own colours until the text leaves. Chosen anew for each process.
static MARK: LazyLock<String> =
    LazyLock::new(|| format!("\u{10fffe}{:016x}\u{10fffe}", RandomState::new().hash_one("colour")));

/// Whether a terminal or a reader would be led astray by a letter: control characters of both sets, marks and overrides
/// of the writing direction, separators that look like line ends, and letters that nobody sees.
fn is_misleading(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\t') || is_invisible(letter)
}

fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text from elsewhere without what a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars().map(|letter| if is_misleading(letter) { '\u{fffd}' } else { letter }).collect()
}

/// A text with escapes of our own making, which [`shown`] lets through.
pub(super) fn marked(text: &str) -> String {
    text.replace('\u{1b}', &MARK)
}

/// What is written: our own colours, and nothing else that a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    text.split(MARK.as_str()).map(clean).collect::<Vec<_>>().join("\u{1b}")
}

/// JSON whose texts are escaped as far as a terminal is concerned: JSON itself asks for it up to U+001F only.
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_misleading(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// A record of the log: its own colours stay where it has some, and only the record itself ends a line.
pub(super) fn log_record(record: &str, has_colours: bool) -> String {
    let (body, end) = record.strip_suffix('\n').map_or((record, ""), |body| (body, "\n"));
    let mut text = String::with_capacity(record.len());
    let mut rest = body;
    while let Some(at) = rest.find('\u{1b}').filter(|_| has_colours) {
        text.push_str(&log_text(&rest[..at]));
        // What fields hold is escaped by the formatter; what is left are its own colours.
        let inner = rest[at + 1..]
            .strip_prefix('[')
            .map(|inner| inner.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        match inner.and_then(|inner| inner.strip_prefix('m')) {
            Some(after) => {
                text.push_str(&rest[at..rest.len() - after.len()]);
                rest = after;
            }
            None => {
                text.push('\u{fffd}');
                rest = &rest[at + 1..];
            }
        }
    }
    text.push_str(&log_text(rest));
    text + end
}

fn log_text(text: &str) -> String {
    clean(text).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::{super::paint, *};

    const HOSTILE: &str = "a\u{1b}]0;title\u{7}b\u{9b}31mc\u{202e}d\re\u{7f}f\u{85}g\u{200b}h";
    const HARMLESS: &str = "a\u{fffd}]0;title\u{fffd}b\u{fffd}31mc\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}g\u{fffd}h";

    // H13: whatever is written by the one way out, and our own colours are in it.
    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        assert_eq!(shown(HOSTILE), HARMLESS);
        assert_eq!(shown(&format!("{HOSTILE} {}", paint::bad("x"))), format!("{HARMLESS} \u{1b}[31mx\u{1b}[0m"));
        assert_eq!(shown(&paint::bad(HOSTILE)), format!("\u{1b}[31m{HARMLESS}\u{1b}[0m"));
        assert_eq!(shown("a\tb\nc é 日本 \u{1f600}"), "a\tb\nc é 日本 \u{1f600}", "plain texts stay");
        assert_eq!(
            shown("\u{10fffe}0123456789abcdef\u{10fffe}[31m").matches('\u{1b}').count(),
            0,
            "a guess is no mark"
        );
    }

    // H13: JSON stays the same value.
    #[test]
    fn json_is_escaped_and_says_the_same() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "\u{e0041}"] });
        let text = super::super::json(&value);
        assert!(text.chars().all(|letter| !is_misleading(letter)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }

    #[test]
    fn records_of_the_log_keep_the_formatters_colours_and_end_no_line_themselves() {
        assert_eq!(
            log_record("\u{1b}[2mINFO\u{1b}[0m a\nERROR b\u{9b}\n", true),
            "\u{1b}[2mINFO\u{1b}[0m a\n    ERROR b\u{fffd}\n"
        );
        assert_eq!(log_record("INFO \u{1b}[31mx\n", false), "INFO \u{fffd}[31mx\n");
        assert_eq!(log_record("INFO \u{1b}]0;x\u{1b}[1\n", true), "INFO \u{fffd}]0;x\u{fffd}[1\n");
    }
}
