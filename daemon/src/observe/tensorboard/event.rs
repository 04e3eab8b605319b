//! Records of an event file.
//!
//! Field numbers are those of TensorFlow's `event.proto` and `summary.proto`: `Event { 1 wall_time, 2 step,
//! 3 file_version, 5 summary, 7 session_log }`, `Summary { 1 value }`, `Value { 1 tag, 2 simple_value }`,
//! `SessionLog { 1 status }`.

use std::time::{Duration, SystemTime};

/// What the first record of every file says.
const FILE_VERSION: &str = "brain.Event:2";

/// `SessionLog.SessionStatus.START`.
const SESSION_START: u64 = 1;

/// Added to a rotated checksum, so that a checksum of data that holds checksums is as good as any.
const MASK_DELTA: u32 = 0xa282_ead8;

// Wire types of protobuf.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// The record that a file starts with.
pub(super) fn file_version(at: SystemTime) -> Vec<u8> {
    let mut event = event(at, 0);
    put_bytes(&mut event, 3, FILE_VERSION.as_bytes());
    framed(&event)
}

/// The record that takes back everything from `step` on that stands before it.
pub(super) fn session_start(step: u64, at: SystemTime) -> Vec<u8> {
    let mut log = Vec::new();
    put_varint_field(&mut log, 1, SESSION_START);
    let mut event = event(at, step);
    put_bytes(&mut event, 7, &log);
    framed(&event)
}

/// A record of scalars by tag.
pub(super) fn scalars(step: u64, values: &[(&str, f64)], at: SystemTime) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, scalar) in values {
        let mut value = Vec::with_capacity(tag.len() + 8);
        put_bytes(&mut value, 1, tag.as_bytes());
        put_key(&mut value, 2, FIXED_32);
        #[expect(clippy::cast_possible_truncation, reason = "the format has single precision")]
        value.extend((*scalar as f32).to_le_bytes());
        put_bytes(&mut summary, 1, &value);
    }
    let mut event = event(at, step);
    put_bytes(&mut event, 5, &summary);
    framed(&event)
}

fn event(at: SystemTime, step: u64) -> Vec<u8> {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    let mut event = Vec::with_capacity(64);
    put_key(&mut event, 1, FIXED_64);
    event.extend(seconds.to_le_bytes());
    put_varint_field(&mut event, 2, step);
    event
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(MASK_DELTA)
}

fn put_key(into: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(into, field << 3 | wire_type);
}

fn put_varint_field(into: &mut Vec<u8>, field: u64, value: u64) {
    put_key(into, field, VARINT);
    put_varint(into, value);
}

fn put_bytes(into: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(into, field, BYTES);
    put_varint(into, bytes.len() as u64);
    into.extend(bytes);
}

fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are wanted")]
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    into.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_is_known_byte_for_byte() {
        // From the format: an event at second 1.5, step 0, with the version.
        let mut data = vec![0x09];
        data.extend(1.5_f64.to_le_bytes());
        data.extend([0x10, 0x00, 0x1a, 13]);
        data.extend(b"brain.Event:2");
        let record = file_version(SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(record[..8], (data.len() as u64).to_le_bytes());
        assert_eq!(record[12..12 + data.len()], data);
        assert_eq!(record.len(), data.len() + 16);
    }

    #[test]
    fn checksums_are_castagnolis_and_masked() {
        // The check value of CRC-32C (RFC 3720, appendix B.4: 32 bytes of zero give 8a9136aa), then the mask by hand.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let crc: u32 = 0x8a91_36aa;
        assert_eq!(masked_crc(&[0; 32]), ((crc >> 15) | (crc << 17)).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn long_numbers_take_several_bytes() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 0x02]);
        bytes.clear();
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(bytes.len(), 10);
    }
}
