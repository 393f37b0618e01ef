//! Source files and places in them. A place is kept as a byte range and becomes a line and a column only when a
//! diagnostic is shown.

use std::{fmt, ops::Range, sync::Arc};

/// A file of the config repository (or of the agent's own), with its text.
#[derive(PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the repository's root, with `/` between the parts.
    pub path: String,
    /// The text, decoded; a byte order mark at the start is part of it.
    pub text: String,
}

impl SourceFile {
    /// A source of this path and text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// Line and column (both from 1, the column in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[start..].trim_start_matches('\u{feff}').chars().count() + 1;
        (line, column)
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SourceFile({})", self.path)
    }
}

/// A byte range in a source file.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: Arc<SourceFile>,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A range of `file`, cut to the file's length and widened to whole letters.
    pub fn new(file: &Arc<SourceFile>, range: Range<usize>) -> Self {
        let start = file.text.floor_char_boundary(range.start);
        let end = file.text.ceil_char_boundary(range.end.clamp(start, file.text.len().max(start)));
        let cut = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file: file.clone(), start: cut(start), end: cut(end) }
    }

    /// The start of the file, for statements about the file as a whole.
    pub fn of_file(file: &Arc<SourceFile>) -> Self {
        Self::new(file, 0..0)
    }

    /// The text in the range.
    pub fn text(&self) -> &str {
        self.file.text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Line and column (from 1) of the first byte.
    pub fn line_column(&self) -> (usize, usize) {
        self.file.line_column(self.start as usize)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(formatter, "{}:{line}:{column}", self.file.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_skip_a_byte_order_mark() {
        let file = SourceFile::new("a", "\u{feff}é: x\nö: y");
        assert_eq!(file.line_column("\u{feff}é: ".len()), (1, 4));
        assert_eq!(file.line_column(file.text.find('y').unwrap()), (2, 4));
        assert_eq!(file.line_column(9999), (2, 5));
        let inside = file.text.find('ö').unwrap() + 1;
        assert_eq!(Span::new(&file, inside..inside).text(), "ö");
        assert_eq!(Span::new(&file, 9999..10_000).text(), "");
    }
}
