//! A reader of event files of the tests' own: nothing of the writer's code, a checksum by the textbook.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) wall_time: f64,
    pub(crate) step: u64,
    pub(crate) file_version: Option<String>,
    pub(crate) is_session_start: bool,
    pub(crate) scalars: BTreeMap<String, f32>,
}

/// A value of protobuf.
enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// Event files of a directory in TensorBoard's order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// All events of a file; panics at anything that is not as it must be.
pub(crate) fn events(file: &Path) -> Vec<Event> {
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let (length_crc, after) = after.split_at(4);
        assert_eq!(masked(crc32c(length)).to_le_bytes(), length_crc, "checksum of a length");
        let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        let (data, after) = after.split_at(length);
        let (data_crc, after) = after.split_at(4);
        assert_eq!(masked(crc32c(data)).to_le_bytes(), data_crc, "checksum of data");
        events.push(event(data));
        rest = after;
    }
    events
}

/// Events of all files of a directory.
pub(crate) fn all_events(directory: &Path) -> Vec<Event> {
    files(directory).iter().flat_map(|file| events(file)).collect()
}

fn event(data: &[u8]) -> Event {
    let mut event = Event::default();
    for (number, value) in fields(data) {
        match (number, value) {
            (1, Value::Fixed64(bytes)) => event.wall_time = f64::from_le_bytes(bytes),
            (2, Value::Varint(step)) => event.step = step,
            (3, Value::Bytes(text)) => event.file_version = Some(String::from_utf8(text.to_vec()).unwrap()),
            (5, Value::Bytes(summary)) => event.scalars.extend(fields(summary).into_iter().map(scalar)),
            (7, Value::Bytes(log)) => {
                event.is_session_start = matches!(fields(log)[..], [(1, Value::Varint(1))]);
            }
            (number, _) => panic!("field {number}"),
        }
    }
    event
}

fn scalar((number, value): (u64, Value<'_>)) -> (String, f32) {
    let (1, Value::Bytes(value)) = (number, value) else { panic!("field {number} of a summary") };
    match fields(value)[..] {
        [(1, Value::Bytes(tag)), (2, Value::Fixed32(number))] => {
            (String::from_utf8(tag.to_vec()).unwrap(), f32::from_le_bytes(number))
        }
        _ => panic!("no scalar"),
    }
}

fn fields(mut data: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data);
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut data)),
            1 => Value::Fixed64(take(&mut data, 8).try_into().unwrap()),
            2 => {
                let length = usize::try_from(varint(&mut data)).unwrap();
                Value::Bytes(take(&mut data, length))
            }
            5 => Value::Fixed32(take(&mut data, 4).try_into().unwrap()),
            wire_type => panic!("wire type {wire_type}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn take<'a>(data: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = data.split_at(length);
    *data = rest;
    taken
}

fn varint(data: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(data, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint of more than ten bytes")
}

/// CRC-32C bit by bit (polynomial 1EDC6F41, reflected).
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn masked(crc: u32) -> u32 {
    (crc >> 15 | crc << 17).wrapping_add(0xa282_ead8)
}
