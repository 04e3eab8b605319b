use bytes::Bytes;

use super::{chunk, chunks, node};
use crate::ids::ChunkId;
use crate::transfer::{
    Assembly, CHUNK_BYTES_MAX, Chunk, ChunkList, ListError, PIECE_BYTES_MAX, REFERRALS_MAX, Taken,
    TransferMessage,
};
use crate::wire::data::FrameKind;

#[test]
fn messages_round_trip_and_what_exceeds_a_limit_is_refused() {
    let id = chunk(1).id;
    let piece = Bytes::from_static(b"piece");
    let ask = |bytes| TransferMessage::Ask { chunk: id, bytes };
    let busy =
        |count: usize| TransferMessage::Busy { chunk: id, retry_after_ms: 7, ask: vec![node(9); count] };
    let at = |bytes: Bytes| TransferMessage::Piece { chunk: id, offset: 3, bytes };
    let good = [
        ask(CHUNK_BYTES_MAX),
        TransferMessage::Cancel { chunk: id },
        at(piece),
        TransferMessage::Lacks { chunk: id },
        busy(REFERRALS_MAX),
    ];
    for message in good {
        let frame = message.clone().encode();
        assert_eq!(frame.kind, FrameKind::Transfer);
        let payload = frame.payload.first().cloned().unwrap_or_default();
        assert_eq!(TransferMessage::decode(&frame.header, payload).unwrap(), message);
        if frame.payload.is_empty() {
            let more = TransferMessage::decode(&frame.header, Bytes::from_static(b"x"));
            assert!(more.is_err(), "{message:?} has no payload");
        }
    }
    let long = Bytes::from(vec![0; PIECE_BYTES_MAX as usize + 1]);
    for bad in [ask(0), ask(CHUNK_BYTES_MAX + 1), at(Bytes::new()), at(long), busy(REFERRALS_MAX + 1)] {
        let frame = bad.clone().encode();
        let payload = frame.payload.first().cloned().unwrap_or_default();
        assert!(TransferMessage::decode(&frame.header, payload).is_err(), "{bad:?}");
    }
    assert!(TransferMessage::decode(&[9, 9], Bytes::new()).is_err());
}

#[test]
fn a_list_is_named_by_its_bytes_and_lies_about_lengths_are_refused() {
    let list = ChunkList { chunks: chunks(3) };
    let (id, bytes) = list.encode();
    assert_eq!(id, ChunkId::of(&bytes));
    assert_eq!(ChunkList::decode(&bytes).unwrap(), list);
    assert_eq!(list.bytes(), 3 * u64::from(CHUNK_BYTES_MAX));
    for (position, wrong) in [(0, 17), (2, 0), (1, CHUNK_BYTES_MAX + 1)] {
        let mut list = list.clone();
        list.chunks[position].bytes = wrong;
        let error = ChunkList::decode(&list.encode().1).unwrap_err();
        assert!(
            matches!(error, ListError::Length { position: found, bytes } if found == position && bytes == wrong),
            "{error}"
        );
    }
    let last = Chunk { bytes: 1, ..chunk(4) };
    assert!(ChunkList::decode(&ChunkList { chunks: vec![chunk(3), last] }.encode().1).is_ok());
    assert!(ChunkList::decode(b"no list").is_err());
}

#[test]
fn pieces_make_a_chunk_only_in_order_and_each_sender_for_itself() {
    let (one, two, id) = (node(1), node(2), chunk(1).id);
    let bytes = |text: &'static [u8]| Bytes::from_static(text);
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(one, id, 5, 0, bytes(b"ab")), Taken::Partly);
    assert_eq!(assembly.take(two, id, 5, 2, bytes(b"cde")), Taken::Broken, "two has sent no beginning");
    assert_eq!(assembly.take(one, id, 5, 2, bytes(b"cde")), Taken::Whole(bytes(b"abcde")));
    assert_eq!(assembly.take(one, id, 5, 0, bytes(b"abcde")), Taken::Whole(bytes(b"abcde")));
    assert_eq!(assembly.take(one, id, 5, 0, bytes(b"abcdef")), Taken::Broken);
    assert_eq!(assembly.take(one, id, 5, 0, bytes(b"ab")), Taken::Partly);
    assert_eq!(assembly.take(one, id, 5, 0, bytes(b"abc")), Taken::Partly, "from the start again");
    assert_eq!(assembly.take(one, id, 5, 3, bytes(b"de")), Taken::Whole(bytes(b"abcde")));
    assembly.take(one, id, 5, 0, bytes(b"ab"));
    assembly.take(two, id, 5, 0, bytes(b"a"));
    assert_eq!(assembly.bytes(), 3);
    assembly.forget_sender(one);
    assembly.forget(two, id);
    assert_eq!(assembly.bytes(), 0);
}
