//! Durations on the command line.

use std::time::Duration;

/// Reads `90`, `90s`, `10m` or `2h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let seconds_per_unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("allowed: a whole number with s, m or h, as 90s".into()),
    };
    let count: u64 =
        digits.parse().map_err(|_| "allowed: a whole number with s, m or h, as 90s".to_owned())?;
    count.checked_mul(seconds_per_unit).map(Duration::from_secs).ok_or_else(|| "too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["", "s", "1d", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615h", "5µ"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
