//! Days since 1970 and their text, by the Gregorian calendar.

use std::fmt::Write;

/// `2024-02-29` of a day number.
pub(crate) fn format_into(out: &mut String, days: i64) {
    // Years are counted from March so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Writing to a String cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// The day number of `2024-02-29`; `None` for text that is not a date.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    if !(0..=999_999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let mut check = String::with_capacity(10);
    format_into(&mut check, days);
    (check == text).then_some(days)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_day_is_read_back() {
        for days in (-200_000..200_000).step_by(97).chain([0, 59, 11_016, 19_782]) {
            let mut text = String::new();
            format_into(&mut text, days);
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
