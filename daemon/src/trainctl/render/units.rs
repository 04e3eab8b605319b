//! Numbers as people read them.

/// The number of a view among those of its job: without the part of its epoch that tells councils apart.
pub(super) fn view_number(epoch: u64) -> u64 {
    traind_protocol::ids::Epoch(epoch).count()
}

/// `512 B`, `1.2 kB`, `34.0 MB`: powers of 1000.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(in super::super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.95 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `40 ms`, `12.3 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`.
pub(in super::super) fn duration_ms(duration_ms: u64) -> String {
    let seconds = duration_ms / 1000;
    match seconds {
        0 => format!("{duration_ms} ms"),
        1..60 => format!("{seconds}.{} s", duration_ms % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A fraction as `96.9 %`.
pub(in super::super) fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// The first eight digits of an id.
pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// At most `characters_max` characters; what is cut off is marked.
pub(super) fn shortened(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    text.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect()
}

/// A value, or `-`.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// A loss with four digits, or `-`.
pub(super) fn loss(value: Option<f64>) -> String {
    or_dash(value.map(|loss| format!("{loss:.4}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1234), "1.2 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(34_000_000_000_000), "34.0 TB");
        assert_eq!(duration_ms(40), "40 ms");
        assert_eq!(duration_ms(12_345), "12.3 s");
        assert_eq!(duration_ms(303_000), "5 min 3 s");
        assert_eq!(duration_ms(7_500_000), "2 h 5 min");
        assert_eq!(duration_ms(273_600_000), "3 d 4 h");
        assert_eq!(percent(0.9694), "96.9 %");
        assert_eq!(shortened("µµµ", 3), "µµµ");
        assert_eq!(shortened("µµµµ", 3), "µµ…");
    }
}
