//! A process's nonce in JSON: 16 hexadecimal digits as a string, since many readers of JSON hold numbers as doubles,
//! which are exact only to 2^53.

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(boot: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{boot:016x}"))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Hex;
    impl Visitor<'_> for Hex {
        type Value = u64;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a string of 1 to 16 hexadecimal digits")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            u64::from_str_radix(text, 16)
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_str(Hex)
}
