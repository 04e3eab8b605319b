use bytes::Bytes;
use traind_protocol::wire::data::{DATA_HEADER_BYTES_MAX, DATA_PAYLOAD_BYTES_MAX, DataFrame};

use super::Path;
use super::frame::{DataFrameError, read_frame, write_frame};
use super::queue::{Queue, Signal};
use crate::handle::SendError;
use crate::limits::BULK_QUEUE_FRAMES_MAX;

fn frame(header: &'static [u8]) -> DataFrame {
    let payload = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")];
    DataFrame { header: Bytes::from_static(header), payload }
}

#[tokio::test]
async fn pieces_arrive_as_one_payload() {
    let mut stream = Vec::new();
    write_frame(&mut stream, &frame(b"one")).await.unwrap();
    write_frame(&mut stream, &frame(b"")).await.unwrap();
    let mut stream = &stream[..];
    for header in [&b"one"[..], b""] {
        let (read, payload) = read_frame(&mut stream).await.unwrap().unwrap();
        assert_eq!((&read[..], &payload[..]), (header, &b"abcde"[..]));
    }
    assert!(read_frame(&mut stream).await.unwrap().is_none());
}

#[tokio::test]
async fn lengths_are_checked_before_anything_is_read() {
    for (header, payload) in [(DATA_HEADER_BYTES_MAX + 1, 0), (0, DATA_PAYLOAD_BYTES_MAX + 1)] {
        let mut stream = u32::try_from(header).unwrap().to_le_bytes().to_vec();
        stream.extend(u32::try_from(payload).unwrap().to_le_bytes());
        let error = read_frame(&mut &stream[..]).await.unwrap_err();
        assert!(matches!(error, DataFrameError::TooLong { .. }), "{error}");
    }
    let cut = read_frame(&mut &[1u8, 0, 0, 0, 0, 0][..]).await.unwrap_err();
    assert!(matches!(cut, DataFrameError::Read(_)), "{cut}");
}

#[test]
fn a_closed_path_takes_nothing_and_a_full_one_is_reset() {
    let queue = Queue::new();
    let signal = queue.signal();
    assert_eq!(queue.try_send(frame(b"x")), Err(SendError::NotConnected));
    queue.open();
    for _ in 0..BULK_QUEUE_FRAMES_MAX {
        queue.try_send(frame(b"x")).unwrap();
    }
    assert_eq!(queue.try_send(frame(b"x")), Err(SendError::Full));
    assert_eq!(*signal.borrow(), Signal::Keep(1));
    assert!(queue.pop().is_none());
    assert_eq!(queue.try_send(frame(b"x")), Err(SendError::NotConnected));
    assert_eq!(queue.interrupt(), (BULK_QUEUE_FRAMES_MAX, 1));
    queue.close();
    queue.reset();
    assert_eq!(*signal.borrow(), Signal::Close);
}

#[test]
fn oversize_frames_are_refused_and_the_path_stays() {
    let queue = Queue::new();
    queue.open();
    let header = Bytes::from(vec![0; DATA_HEADER_BYTES_MAX + 1]);
    let refused = queue.try_send(DataFrame { header, payload: Vec::new() });
    assert!(matches!(refused, Err(SendError::TooLong { .. })), "{refused:?}");
    queue.try_send(frame(b"x")).unwrap();
}
