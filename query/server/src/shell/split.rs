//! Cuts text into statements at `;`, except in quotes and comments, and tells whether one is
//! still open: both the prompt and files go through here.

/// The whole statements of a text, and what is left after the last `;`.
#[derive(Debug, Default, PartialEq)]
pub struct Split<'t> {
    /// Statements without their `;` and the comments before them, none of them blank.
    pub statements: Vec<&'t str>,
    /// Text after the last `;`; blank when nothing but spaces and comments is left.
    pub rest: &'t str,
}

/// Cuts `text`. A line that begins with `\` where a statement would begin is a statement of its
/// own, up to the end of the line.
pub fn split(text: &str) -> Split<'_> {
    let mut result = Split::default();
    let mut begin = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] == b'\\' && is_blank(&text[begin..at]) {
            let end = find(bytes, at, b"\n").unwrap_or(bytes.len());
            result.statements.push(text[at..end].trim());
            begin = (end + 1).min(bytes.len());
            at = begin;
            continue;
        }
        at = match bytes[at] {
            b';' => {
                if !is_blank(&text[begin..at]) {
                    let statement = &text[begin..at];
                    result.statements.push(statement[blank_bytes(statement)..].trim());
                }
                begin = at + 1;
                begin
            }
            _ => skip(bytes, at).unwrap_or(bytes.len()),
        };
    }
    let rest = &text[begin..];
    result.rest = if is_blank(rest) { "" } else { &rest[blank_bytes(rest)..] };
    result
}

/// Whether there is nothing but spaces and closed comments.
pub fn is_blank(text: &str) -> bool {
    blank_bytes(text) == text.len()
}

/// Bytes of the spaces and closed comments that a text begins with.
fn blank_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let is_comment = bytes[at..].starts_with(b"--") || bytes[at..].starts_with(b"/*");
        if !is_comment && !bytes[at].is_ascii_whitespace() {
            break;
        }
        match skip(bytes, at) {
            Some(next) => at = next,
            // An open line comment is a comment still; an open block comment is not done yet.
            None if bytes[at..].starts_with(b"--") => at = bytes.len(),
            None => break,
        }
    }
    at
}

/// The place after the quote, comment or single byte at `at`; `None` when it does not end.
fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at] {
        quote @ (b'\'' | b'"') => find(bytes, at + 1, &[quote]).map(|end| end + 1),
        b'-' if bytes[at..].starts_with(b"--") => find(bytes, at, b"\n").map(|end| end + 1),
        b'/' if bytes[at..].starts_with(b"/*") => skip_block(bytes, at),
        _ => Some(at + 1),
    }
}

/// Block comments nest.
fn skip_block(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0;
    let mut at = at;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|place| from + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes_and_comments() {
        let text = "SELECT ';' AS \"a;b\" -- no; end\n, 1 /* nor; /* here; */ */;; SELECT 'it''s;' ; x";
        let split = split(text);
        assert_eq!(
            split.statements,
            ["SELECT ';' AS \"a;b\" -- no; end\n, 1 /* nor; /* here; */ */", "SELECT 'it''s;'"]
        );
        assert_eq!(split.rest.trim(), "x");
    }

    #[test]
    fn statements_begin_behind_the_comments_before_them() {
        let text = "-- one\nSELECT 1; /* two */ -- more\n SELECT /* 2 */ 2; -- rest\nSELECT 3";
        let expected = Split { statements: vec!["SELECT 1", "SELECT /* 2 */ 2"], rest: "SELECT 3" };
        assert_eq!(split(text), expected);
    }

    #[test]
    fn open_quotes_and_comments_wait_for_their_end() {
        for text in ["SELECT 'a;", "SELECT \"a;", "/* a;", "SELECT 1 /* ; /* */ ;"] {
            assert_eq!(split(text), Split { statements: vec![], rest: text });
        }
        assert_eq!(split("SELECT 1; -- done"), Split { statements: vec!["SELECT 1"], rest: "" });
        assert_eq!(split("  \n"), Split::default());
        assert_eq!(split("'é;' é;").statements, ["'é;' é"]);
    }

    #[test]
    fn shell_commands_are_lines() {
        assert_eq!(
            split("\\d tables\nSELECT 1;\\q"),
            Split { statements: vec!["\\d tables", "SELECT 1", "\\q"], rest: "" }
        );
    }
}
