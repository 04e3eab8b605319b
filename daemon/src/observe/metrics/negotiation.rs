//! Which of the two formats a client wants.

/// The format that everyone reads, people in a browser too.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The format that Prometheus asks for.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Versions of OpenMetrics that 1.0.0 is good for.
const VERSIONS: [&str; 2] = ["1.0.0", "0.0.1"];

/// The content type for a client with that `Accept` header: OpenMetrics for those who name it and do not like text
/// better, else text (RFC 9110, section 12.5.1). What nobody can give counts as text, as with other exporters.
pub(super) fn content_type(accept: &str) -> &'static str {
    let (mut openmetrics, mut text) = (0.0_f32, None::<f32>);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
                "version" => version = Some(value),
                _ => {}
            }
        }
        if media == "application/openmetrics-text"
            && version.is_none_or(|version| VERSIONS.contains(&version))
        {
            openmetrics = openmetrics.max(quality);
        } else if media == "text/plain" {
            text = Some(text.unwrap_or(0.0).max(quality));
        }
    }
    if openmetrics > 0.0 && openmetrics >= text.unwrap_or(0.0) { OPENMETRICS } else { TEXT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                            q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                            escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            prometheus_2,
            prometheus_3,
            "Application/OpenMetrics-Text",
            "text/plain;q=0.5, application/openmetrics-text",
        ] {
            assert_eq!(content_type(accept), OPENMETRICS, "{accept}");
        }
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        let others =
            ["", "*/*", browser, "text/plain", "application/json", "application/openmetrics-text;q=0"];
        let worse = [
            "application/openmetrics-text;q=0.3,text/plain;q=0.9",
            "application/openmetrics-text;version=9.0.0",
            ";;;q=,=,",
        ];
        for accept in others.into_iter().chain(worse) {
            assert_eq!(content_type(accept), TEXT, "{accept}");
        }
    }
}
