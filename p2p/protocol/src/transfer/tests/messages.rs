use bytes::Bytes;

use super::{chunk, node};
use crate::ids::ManifestId;
use crate::transfer::{Assembly, CHUNK_BYTES_MAX, PIECE_BYTES_MAX, REFERRALS_MAX, Taken, TransferMessage};
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
        TransferMessage::AskManifest { manifest: ManifestId([3; 32]) },
        TransferMessage::Manifest { manifest: ManifestId([3; 32]), text: Bytes::from_static(b"{}") },
        TransferMessage::LacksManifest { manifest: ManifestId([3; 32]) },
        busy(REFERRALS_MAX),
    ];
    for message in good {
        let frame = message.clone().encode();
        assert_eq!(frame.kind, FrameKind::Transfer);
        let payload = frame.payload.first().cloned().unwrap_or_default();
        assert_eq!(TransferMessage::decode(&frame.header, payload).unwrap(), message);
        if frame.payload.is_empty() {
            // The frame has no payload, so it must be refused with one.
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
fn pieces_make_a_chunk_only_in_order_and_each_sender_for_itself() {
    let (one, two, id) = (node(1), node(2), chunk(1).id);
    let bytes = |text: &'static [u8]| Bytes::from_static(text);
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(one, id, 5, 0, bytes(b"ab")), Taken::Partly);
    assert_eq!(assembly.take(two, id, 5, 2, bytes(b"cde")), Taken::Stray, "two has sent no beginning");
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
