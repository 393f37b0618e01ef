//! Texts that others wrote, as a log line and a state can hold them.

/// A text in one line, cut after so many letters: whoever wrote it chose how long it is.
pub fn line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for (count, letter) in text.trim_start().chars().enumerate() {
        if count == most {
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        line.push(if letter.is_control() { ' ' } else { letter });
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    // H15
    #[test]
    fn a_long_text_is_cut_and_a_short_one_is_not() {
        assert_eq!(line("  a b ", 10), "a b");
        assert_eq!(line("a\nb\u{1b}[31m", 20), "a b [31m");
        assert_eq!(line("äöü", 3), "äöü");
        assert_eq!(line("äöüß", 3), "äöü…");
        assert_eq!(line(&"x".repeat(30_000_000), 200).len(), 200 + '…'.len_utf8());
        assert_eq!(line("", 5), "");
    }
}
