//! Reads dates strictly.

use skep_hms::dates::{days_of, write_date};

/// The day number of `2024-02-29`; `None` for text that is not a date.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    if !(0..=999_999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_of(year, month, day);
    let mut check = String::with_capacity(10);
    write_date(&mut check, days);
    (check == text).then_some(days)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_day_is_read_back() {
        for days in (-200_000..200_000).step_by(97).chain([0, 59, 11_016, 19_782]) {
            let text = skep_hms::dates::date_text(days);
            if days > -719_468 && !text.starts_with('-') {
                assert_eq!(parse(&text), Some(days), "{text}");
            }
        }
        assert_eq!(parse("1970-01-01"), Some(0));
        assert_eq!(parse("2024-02-29"), Some(19_782));
        assert_eq!(parse("2023-02-29"), None);
        assert_eq!(parse("today"), None);
    }
}
