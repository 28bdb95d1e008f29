//! Days since 1970 and their text, by the proleptic Gregorian calendar.

use std::fmt::Write;

/// A day number as `YYYY-MM-DD`. Beyond some 5 million years there is only damage: `day N`.
pub fn date_text(days: i64) -> String {
    let mut text = String::with_capacity(10);
    write_date(&mut text, days);
    text
}

/// Appends [`date_text`].
pub fn write_date(out: &mut String, days: i64) {
    if !(-2_000_000_000..=2_000_000_000).contains(&days) {
        // Writing to a String cannot fail.
        let _ = write!(out, "day {days}");
        return;
    }
    // The calendar in eras of 400 years, years beginning in March so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// The day number of a date. Numbers of at most 32 bits are computed as if the calendar went on.
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
