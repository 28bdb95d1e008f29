//! Functions whose time is a product: of the lengths of two texts, or of the length of a text and
//! the size of a pattern. For two texts of a megabyte each it would be an hour, in which nothing
//! asks whether the statement is to stop.

use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use super::bounded::constant_text;
use super::growth::longest;
use super::pattern;

/// Steps that one call may take at once: seconds at worst.
pub const STEPS_MAX: usize = 1 << 30;
/// A search for all matches can look through the rest of the text again after each. That is the
/// fastest part of it: so many bytes are counted as one step.
const BYTES_AGAIN: usize = 16;

/// What the time of a call is a product of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// The lengths of the first two arguments.
    Pairs,
    /// The length of the first argument and the size of the pattern, which is the second.
    Search { flags: usize },
    /// The same for all matches, one after the other.
    SearchAll { flags: usize },
}

/// The functions whose time is a product, and where those with patterns have their flags.
pub const WORKING: &[(&str, Work)] = &[
    ("array_has_all", Work::Pairs),
    ("array_has_any", Work::Pairs),
    ("btrim", Work::Pairs),
    ("levenshtein", Work::Pairs),
    ("ltrim", Work::Pairs),
    ("regexp_count", Work::SearchAll { flags: 3 }),
    ("regexp_instr", Work::SearchAll { flags: 4 }),
    ("regexp_like", Work::Search { flags: 2 }),
    ("regexp_match", Work::Search { flags: 2 }),
    ("regexp_replace", Work::SearchAll { flags: 3 }),
    ("rtrim", Work::Pairs),
    ("strpos", Work::Pairs),
];

impl Work {
    /// The places of the arguments that have to be constants: a pattern and its flags.
    pub fn constants(self) -> Option<[usize; 2]> {
        match self {
            Self::Pairs => None,
            Self::Search { flags } | Self::SearchAll { flags } => Some([1, flags]),
        }
    }

    /// Size of the pattern, unless it is known; 0 where there is none.
    ///
    /// Errors: `SQL_FORBIDDEN` for one that is too large or not constant, `SQL_INVALID` for one
    /// that cannot be read.
    pub fn program_states(self, name: &str, args: &[ColumnarValue], known: Option<usize>) -> Result<usize> {
        let Some(constants) = self.constants() else { return Ok(0) };
        if constants.iter().any(|place| matches!(args.get(*place), Some(ColumnarValue::Array(_)))) {
            return Err(pattern::not_constant(name));
        }
        if let Some(known) = known {
            return Ok(known);
        }
        let [pattern, flags] = constants.map(|place| args.get(place).and_then(constant_text));
        pattern::states(name, pattern, flags)
    }

    /// Steps that a call takes at most for these rows.
    pub fn steps_max(self, program_states: usize, args: &[ColumnarValue], rows: usize) -> usize {
        let text = args.first().map_or(0, longest);
        let steps_per_byte = match self {
            Self::Pairs => args.get(1).map_or(0, longest),
            Self::Search { .. } => program_states,
            Self::SearchAll { .. } => program_states.saturating_add(text / BYTES_AGAIN),
        };
        text.saturating_mul(steps_per_byte).saturating_mul(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use datafusion::common::ScalarValue;

    use super::*;

    #[test]
    fn steps_are_those_of_the_longest_texts_and_the_size_of_a_pattern() {
        let long = "x".repeat(100_000);
        let column = |texts: Vec<&str>| ColumnarValue::Array(Arc::new(StringArray::from(texts)));
        let (texts, others) = (column(vec![long.as_str(), "ab"]), column(vec!["abc", "a"]));
        assert_eq!(Work::Pairs.steps_max(0, &[texts.clone(), others], 2), 600_000);
        let pattern = ColumnarValue::Scalar(ScalarValue::from("x+"));
        let args = [texts, pattern];
        assert_eq!(Work::Search { flags: 2 }.steps_max(7, &args, 2), 1_400_000);
        let again = 100_000 * (100_000 / BYTES_AGAIN);
        assert_eq!(Work::SearchAll { flags: 3 }.steps_max(7, &args, 1), 700_000 + again);
    }
}
