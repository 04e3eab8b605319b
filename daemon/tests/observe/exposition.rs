//! A strict reader of OpenMetrics 1.0 text, and of Prometheus' text 0.0.4 where they differ. It refuses what Prometheus
//! would let pass.

use std::collections::{BTreeMap, BTreeSet};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenMetrics,
    Text,
}

/// What is said of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
}

/// What a scrape says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scrape {
    pub(crate) families: BTreeMap<String, Family>,
    /// By name and labels in order of their names.
    pub(crate) samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Scrape {
    /// The value of a sample, which must be there.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let key = (name.to_owned(), labels);
        *self.samples.get(&key).unwrap_or_else(|| panic!("no {key:?} in {:#?}", self.samples))
    }

    /// Names of all samples.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|(name, _labels)| name.as_str()).collect()
    }
}

/// Reads a whole exposition.
pub(crate) fn read(text: &str, format: Format) -> Result<Scrape, String> {
    let body = match format {
        Format::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("does not end with `# EOF`")?,
        Format::Text => text.ends_with('\n').then_some(text).ok_or("the last line has no end")?,
    };
    let mut scrape = Scrape::default();
    let mut current: Option<String> = None;
    for (index, line) in body.lines().enumerate() {
        let read = match line.strip_prefix("# ") {
            Some(comment) => read_comment(comment, format, &mut scrape, &mut current),
            None => read_sample(line, format, &mut scrape, current.as_deref()),
        };
        read.map_err(|what| format!("line {}: {what}: {line}", index + 1))?;
    }
    for (name, family) in &scrape.families {
        if family.kind.is_empty() || family.help.is_empty() {
            return Err(format!("{name} lacks TYPE or HELP"));
        }
    }
    Ok(scrape)
}

fn read_comment(
    comment: &str,
    format: Format,
    scrape: &mut Scrape,
    current: &mut Option<String>,
) -> Result<(), String> {
    let mut words = comment.splitn(3, ' ');
    let (keyword, name) = (words.next().unwrap_or_default(), words.next().ok_or("no name")?);
    let said = words.next().ok_or("nothing said")?;
    check_name(name, false)?;
    if current.as_deref() != Some(name) {
        if scrape.families.contains_key(name) {
            return Err("the family is there already: its lines must stand together".into());
        }
        scrape.families.insert(name.to_owned(), Family::default());
        *current = Some(name.to_owned());
    }
    if scrape.samples.keys().any(|(sample, _)| family_of(sample, scrape, format).as_deref() == Some(name)) {
        return Err("said after the samples".into());
    }
    let family = scrape.families.get_mut(name).expect("put there above");
    let place = match keyword {
        "HELP" => &mut family.help,
        "TYPE" => &mut family.kind,
        "UNIT" if format == Format::OpenMetrics => family.unit.get_or_insert_default(),
        _ => return Err("neither HELP nor TYPE nor UNIT".into()),
    };
    if !std::mem::replace(place, said.to_owned()).is_empty() {
        return Err("said twice".into());
    }
    let kinds: &[&str] = match format {
        Format::OpenMetrics => &["counter", "gauge", "info"],
        Format::Text => &["counter", "gauge"],
    };
    match keyword {
        "TYPE" if !kinds.contains(&said) => Err(format!("no kind that we have: {said}")),
        "UNIT" if !name.ends_with(&format!("_{said}")) => Err("the name does not end with the unit".into()),
        "HELP" => unescape(said, format == Format::OpenMetrics).map(|_| ()),
        _ => Ok(()),
    }
}

fn read_sample(line: &str, format: Format, scrape: &mut Scrape, current: Option<&str>) -> Result<(), String> {
    let name_end = line.find(['{', ' ']).ok_or("no value")?;
    let name = &line[..name_end];
    check_name(name, false)?;
    let family = family_of(name, scrape, format).ok_or("no TYPE before the sample")?;
    if current != Some(family.as_str()) {
        return Err(format!("among the lines of {current:?}"));
    }
    let (labels, rest) = match line[name_end..].strip_prefix('{') {
        Some(labels) => read_labels(labels)?,
        None => (BTreeMap::new(), &line[name_end..]),
    };
    let text = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value: f64 = text.parse().map_err(|_| "the value is no number")?;
    if text.contains(' ') || text.is_empty() {
        return Err("more than a value".into());
    }
    let kind = scrape.families[&family].kind.as_str();
    if kind == "counter" && (!value.is_finite() || value < 0.0) {
        return Err("a counter must be a number from 0 on".into());
    }
    if kind == "info" && (value != 1.0 || labels.is_empty()) {
        return Err("an info must be 1 and have labels".into());
    }
    match scrape.samples.insert((name.to_owned(), labels), value) {
        Some(_) => Err("the sample is there twice".into()),
        None => Ok(()),
    }
}

/// The family whose sample may be called so.
fn family_of(sample: &str, scrape: &Scrape, format: Format) -> Option<String> {
    let of_kind = |name: &str, kinds: &[&str]| {
        scrape.families.get(name).is_some_and(|family| kinds.contains(&family.kind.as_str()))
    };
    let suffixed = |suffix: &str, kind: &str| {
        let name = sample.strip_suffix(suffix)?;
        of_kind(name, &[kind]).then(|| name.to_owned())
    };
    match format {
        Format::OpenMetrics => suffixed("_total", "counter")
            .or_else(|| suffixed("_info", "info"))
            .or_else(|| of_kind(sample, &["gauge"]).then(|| sample.to_owned())),
        Format::Text if sample.ends_with("_total") => {
            of_kind(sample, &["counter"]).then(|| sample.to_owned())
        }
        Format::Text => of_kind(sample, &["gauge"]).then(|| sample.to_owned()),
    }
}

/// Labels up to the closing brace, and what follows.
fn read_labels(mut text: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once("=\"").ok_or("a label without a value")?;
        check_name(name, true)?;
        let mut escaped = false;
        let end = rest.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let end = end.ok_or("a label's value has no end")?;
        if labels.insert(name.to_owned(), unescape(&rest[..end], true)?).is_some() {
            return Err(format!("label {name} twice"));
        }
        let rest = &rest[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => text = next,
            None => return Ok((labels, rest.strip_prefix('}').ok_or("no closing brace")?)),
        }
    }
}

fn check_name(name: &str, is_label: bool) -> Result<(), String> {
    let starts = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let reserved =
        name.starts_with("__") || is_label && ["le", "quantile", "job", "instance"].contains(&name);
    if starts && plain && !reserved { Ok(()) } else { Err(format!("no name: {name:?}")) }
}

fn unescape(text: &str, with_quotes: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(match letters.next() {
                Some('n') => '\n',
                Some('\\') => '\\',
                Some('"') if with_quotes => '"',
                other => return Err(format!("no escape: {other:?}")),
            }),
            '"' if with_quotes => return Err("a quote that is not escaped".into()),
            letter => plain.push(letter),
        }
    }
    Ok(plain)
}
