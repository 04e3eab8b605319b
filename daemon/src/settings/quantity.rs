//! Sizes, rates and times with their units. A number without a unit is refused: nobody should have to guess it.

use std::time::Duration;

use bytesize::ByteSize;

/// Bytes of `8 GiB`, `500 MB`, `1.5 TiB`.
///
/// A small `b` is refused: it may mean bits, an eighth of it.
pub(super) fn size_bytes(text: &str) -> Option<u64> {
    let has_unit = text.ends_with('B') && text.starts_with(|first: char| first.is_ascii_digit());
    if has_unit { text.parse::<ByteSize>().ok().map(|size| size.as_u64()) } else { None }
}

/// Bytes per second of `50 MB/s`, and of `400 Mbit/s` as networks are sold.
pub(super) fn rate_bytes_per_second(text: &str) -> Option<u64> {
    let amount = text.strip_suffix("/s")?.trim_end();
    match amount.strip_suffix("bit") {
        Some(bits) => size_bytes(&format!("{bits}B")).map(|bits| bits / 8),
        None => size_bytes(amount),
    }
}

/// The time of `60 s`, `2 min`, `1h 30min`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// A size as people write it, exact for whole units.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _name)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}

/// A rate as people write it, exact for whole units.
pub(super) fn rate_text(bytes_per_second: u64) -> String {
    let units = [(1_000_000_000_000, "TB/s"), (1_000_000_000, "GB/s"), (1_000_000, "MB/s"), (1_000, "kB/s")];
    let fits = |unit: u64| bytes_per_second >= unit && bytes_per_second.is_multiple_of(unit);
    let unit = units.into_iter().find(|(unit, _name)| fits(*unit));
    unit.map_or_else(
        || format!("{bytes_per_second} B/s"),
        |(unit, name)| format!("{} {name}", bytes_per_second / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("8 GiB", 8 << 30),
            ("8GiB", 8 << 30),
            ("500 MB", 500_000_000),
            ("1.5 KiB", 1536),
            ("7 B", 7),
            ("9007199254740993 B", 9_007_199_254_740_993),
        ] {
            assert_eq!(size_bytes(text), Some(bytes), "{text}");
        }
        for text in
            ["", "8", "8 GiBit", "8 Gb", "B", "GiB", "-8 GiB", "8 XB", "1..5 GiB", " 8 GiB", "8 GiB/s"]
        {
            assert_eq!(size_bytes(text), None, "{text}");
        }
        assert_eq!(size_bytes("99999999999 EiB"), Some(u64::MAX), "the bound of the key refuses it");
    }

    #[test]
    fn rates_are_bytes_or_bits_and_say_which() {
        for (text, bytes) in [
            ("50 MB/s", 50_000_000),
            ("1MiB/s", 1 << 20),
            ("400 Mbit/s", 50_000_000),
            ("1 Gbit/s", 125_000_000),
            ("800 bit/s", 100),
        ] {
            assert_eq!(rate_bytes_per_second(text), Some(bytes), "{text}");
        }
        for text in ["", "50", "50 MB", "50 Mb/s", "50 Mbps", "/s", "bit/s", "50 Mbit", "50 /s"] {
            assert_eq!(rate_bytes_per_second(text), None, "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("60 s"), Some(Duration::from_secs(60)));
        assert_eq!(duration("1h 30min"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("250 ms"), Some(Duration::from_millis(250)));
        for text in ["", "60", "-1 s", "s", "1 fortnight", "99999999999999999999 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_written_as_they_are_read() {
        for bytes in [1, 1 << 10, 128 << 20, 1 << 50, 1500] {
            assert_eq!(size_bytes(&size_text(bytes)), Some(bytes));
        }
        for rate in [1, 10_000, 1_500_000, 1_000_000_000_000] {
            assert_eq!(rate_bytes_per_second(&rate_text(rate)), Some(rate));
        }
    }
}
