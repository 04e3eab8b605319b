use super::{chunk, node};
use crate::ids::NodeId;
use crate::transfer::{
    ASKED_CHUNKS_MAX, Donor, DonorInput, DonorOutput, RECEIVERS_SERVED_MAX, TransferMessage,
};

fn step(donor: &mut Donor, input: DonorInput) -> Vec<DonorOutput> {
    let mut out = Vec::new();
    donor.step(input, &mut out);
    out
}

fn ask(donor: &mut Donor, from: NodeId, number: u32) -> Vec<DonorOutput> {
    step(donor, DonorInput::Asked { from, chunk: chunk(number) })
}

fn sent(donor: &mut Donor, to: NodeId, number: u32) -> Vec<DonorOutput> {
    step(donor, DonorInput::Served { to, chunk: chunk(number).id, is_sent: true })
}

#[test]
fn each_receiver_gets_one_chunk_at_a_time_in_turns() {
    let mut donor = Donor::default();
    assert_eq!(ask(&mut donor, node(1), 1), [DonorOutput::Serve { to: node(1), chunk: chunk(1) }]);
    assert!(ask(&mut donor, node(1), 2).is_empty());
    assert!(ask(&mut donor, node(1), 2).is_empty(), "asked twice, queued once");
    assert_eq!(ask(&mut donor, node(2), 3), [DonorOutput::Serve { to: node(2), chunk: chunk(3) }]);
    assert_eq!(sent(&mut donor, node(1), 1), [DonorOutput::Serve { to: node(1), chunk: chunk(2) }]);
    assert!(sent(&mut donor, node(1), 2).is_empty());
    assert!(sent(&mut donor, node(2), 3).is_empty());
    assert_eq!(donor.receivers(), 0);
}

/// Who asks again for what it is being sent has lost what came.
#[test]
fn a_chunk_that_is_asked_for_again_begins_anew() {
    let mut donor = Donor::default();
    ask(&mut donor, node(1), 1);
    ask(&mut donor, node(1), 2);
    let (to, chunk_id) = (node(1), chunk(1).id);
    assert_eq!(ask(&mut donor, node(1), 1), [DonorOutput::Stop { to, chunk: chunk_id }]);
    assert!(ask(&mut donor, node(1), 1).is_empty(), "it is queued by now");
    let stopped = DonorInput::Served { to, chunk: chunk_id, is_sent: false };
    assert_eq!(step(&mut donor, stopped), [DonorOutput::Serve { to, chunk: chunk(1) }]);
    assert_eq!(sent(&mut donor, node(1), 1), [DonorOutput::Serve { to, chunk: chunk(2) }]);
}

#[test]
fn ten_receivers_do_not_get_everything_from_one_donor() {
    let mut donor = Donor::default();
    // All want the same three chunks.
    let mut serving: Vec<(NodeId, u32)> = Vec::new();
    let mut gifts = 0;
    let mut referred = 0;
    let note = |out: Vec<DonorOutput>, serving: &mut Vec<(NodeId, u32)>, referred: &mut u32| {
        for output in out {
            match output {
                DonorOutput::Serve { to, chunk: served } => {
                    let number = (0..3).find(|number| chunk(*number) == served).unwrap();
                    serving.push((to, number));
                    assert!(serving.len() <= RECEIVERS_SERVED_MAX);
                }
                DonorOutput::Say { message: TransferMessage::Busy { ask, .. }, to } => {
                    assert!(!ask.is_empty() && !ask.contains(&to));
                    *referred += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    for round in 0..3u32 {
        for receiver in 1..=10 {
            let wanted = (round + u32::from(receiver)) % 3;
            note(ask(&mut donor, node(receiver), wanted), &mut serving, &mut referred);
        }
        for _ in 0..4 {
            if serving.is_empty() {
                break;
            }
            let (to, number) = serving.remove(0);
            gifts += 1;
            note(sent(&mut donor, to, number), &mut serving, &mut referred);
        }
    }
    assert!(referred >= 10, "{referred} referrals, {gifts} gifts");
}

#[test]
fn a_receiver_that_floods_is_told_to_wait() {
    let mut donor = Donor::default();
    let flood = ASKED_CHUNKS_MAX as u32 + 1;
    for number in 0..flood {
        ask(&mut donor, node(1), number);
    }
    let out = ask(&mut donor, node(1), flood);
    assert!(
        matches!(&out[..], [DonorOutput::Say { message: TransferMessage::Busy { ask, .. }, .. }] if ask.is_empty()),
        "{out:?}"
    );
}

#[test]
fn what_is_cancelled_is_not_sent_and_the_dead_are_not_named() {
    let mut donor = Donor::default();
    ask(&mut donor, node(1), 1);
    ask(&mut donor, node(1), 2);
    let cancel = |number| DonorInput::Cancelled { from: node(1), chunk: chunk(number).id };
    assert!(step(&mut donor, cancel(2)).is_empty());
    assert_eq!(step(&mut donor, cancel(1)), [DonorOutput::Stop { to: node(1), chunk: chunk(1).id }]);
    let stopped = DonorInput::Served { to: node(1), chunk: chunk(1).id, is_sent: false };
    assert!(step(&mut donor, stopped).is_empty());
    assert_eq!(donor.receivers(), 0);
    ask(&mut donor, node(2), 1);
    sent(&mut donor, node(2), 1);
    step(&mut donor, DonorInput::ReceiverLost(node(2)));
    for other in 3..3 + RECEIVERS_SERVED_MAX as u8 {
        ask(&mut donor, node(other), 7);
    }
    // Crowded, but nobody that lives has it from here: it is queued.
    assert!(ask(&mut donor, node(9), 1).is_empty());
}
