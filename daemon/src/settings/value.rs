//! A setting's value before it is checked, the same whether it came from TOML, the environment or a flag.

use toml::de::DeValue;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Value>),
    /// Anything that no setting takes, by its name.
    Other(String),
}

impl Value {
    /// Takes a parsed TOML value.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Other(format!("{} (too large)", number.as_str())), Self::Integer),
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::from_toml(item.get_ref())).collect())
            }
            other => Self::Other(format!("a {}", other.type_str())),
        }
    }

    /// The value in words, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::describe).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Other(name) => name.clone(),
        }
    }
}

impl Value {
    /// The value as TOML, if it is one that a setting takes.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => toml::Value::String(text.clone()).to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_toml).collect();
                format!("[{}]", items.join(", "))
            }
            other => other.describe(),
        }
    }
}

impl From<Value> for config::ValueKind {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) | Value::Other(text) => Self::String(text),
            Value::Integer(number) => Self::I64(number),
            Value::Boolean(flag) => Self::Boolean(flag),
            Value::List(items) => Self::Array(
                items.into_iter().map(|item| config::Value::new(None, Self::from(item))).collect(),
            ),
        }
    }
}
