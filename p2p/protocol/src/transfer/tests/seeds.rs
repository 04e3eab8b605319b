//! Transfers under faults, in virtual time.

use super::chunks;
use super::world::{Random, World};

const CHUNKS: u32 = 40;
/// 12.5 MB/s.
const RATE: u64 = 12_500;

/// Milliseconds that `bytes` take at `rate`.
fn ideal_ms(chunks: u32, rate: u64) -> u64 {
    u64::from(chunks) * (4 << 20) / rate
}

#[test]
fn three_holders_give_as_much_as_their_links_carry() {
    let list = chunks(CHUNKS);
    let mut world = World::new();
    let holders: Vec<usize> = (0..3).map(|_| world.add(RATE, &list)).collect();
    let receiver = world.add(RATE, &[]);
    world.fetch(receiver, &list, &holders);
    let took = world.run(60_000);
    let ideal = ideal_ms(CHUNKS, 3 * RATE);
    assert!(took * 9 <= ideal * 10 + 1_000, "{took} ms, {ideal} at best");
    for holder in holders {
        assert!(world.hosts[holder].bytes_sent > 40 << 20, "each gives its share");
    }
}

#[test]
fn any_holder_may_die_at_any_chunk() {
    let list = chunks(CHUNKS);
    for victim in 0..3 {
        for kept in 0..=CHUNKS {
            let mut world = World::new();
            let holders: Vec<usize> = (0..3).map(|_| world.add(RATE, &list)).collect();
            let receiver = world.add(RATE, &[]);
            world.fetch(receiver, &list, &holders);
            world.kill_after = Some((kept, holders[victim]));
            let took = world.run(60_000);
            assert_eq!(world.hosts[receiver].holds.len(), CHUNKS as usize);
            // At worst two did all the work, and what was on its way was sent once more.
            assert!(took <= ideal_ms(CHUNKS, 2 * RATE) * 11 / 10 + 1_500, "{took} ms; killed after {kept}");
        }
    }
}

#[test]
fn whoever_lies_is_named_and_nothing_of_it_is_kept() {
    let list = chunks(CHUNKS);
    let mut world = World::new();
    let holders: Vec<usize> = (0..3).map(|_| world.add(RATE, &list)).collect();
    world.hosts[holders[1]].lies = true;
    let receiver = world.add(RATE, &[]);
    world.fetch(receiver, &list, &holders);
    world.run(60_000);
    let liar = world.hosts[holders[1]].id;
    assert_eq!(world.hosts[receiver].distrusted.iter().copied().collect::<Vec<_>>(), [liar]);
}

#[test]
fn a_crawling_holder_does_not_hold_up_the_end() {
    let list = chunks(CHUNKS);
    let mut world = World::new();
    let mut holders: Vec<usize> = (0..2).map(|_| world.add(RATE, &list)).collect();
    // 50 KB/s: one chunk would take 84 seconds.
    holders.push(world.add(50, &list));
    let receiver = world.add(RATE, &[]);
    world.fetch(receiver, &list, &holders);
    let took = world.run(60_000);
    assert!(took <= ideal_ms(CHUNKS, 2 * RATE) * 11 / 10 + 1_500, "{took}");
}

#[test]
fn an_interrupted_fetch_goes_on_with_what_it_lacks() {
    let list = chunks(CHUNKS);
    let mut world = World::new();
    let holder = world.add(RATE, &list);
    let other = world.add(RATE, &list);
    let receiver = world.add(RATE, &list[..25]);
    world.fetch(receiver, &list, &[holder, other]);
    world.run(60_000);
    let sent: u64 = world.hosts.iter().map(|host| host.bytes_sent).sum();
    assert_eq!(sent, 15 * (4 << 20), "only what was missing travelled");
}

#[test]
fn ten_joiners_take_from_each_other_what_one_donor_gave() {
    let list = chunks(CHUNKS);
    let mut world = World::new();
    let donor = world.add(RATE, &list);
    let joiners: Vec<usize> = (0..10).map(|_| world.add(RATE, &[])).collect();
    for joiner in &joiners {
        world.fetch(*joiner, &list, &[donor]);
    }
    let took = world.run(600_000);
    let alone = ideal_ms(10 * CHUNKS, RATE);
    assert!(took * 2 < alone, "{took} ms; one donor alone would take {alone}");
    let sent = world.hosts[donor].bytes_sent;
    assert!(sent < 5 * u64::from(CHUNKS) * (4 << 20), "the donor sent {} MB", sent >> 20);
}

#[test]
fn random_faults_end_with_everything_or_with_nobody_left() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let list = chunks(1 + u32::try_from(random.below(60)).unwrap());
        let mut world = World::new();
        let holders = 2 + random.below(4);
        let sources: Vec<usize> =
            (0..holders).map(|_| world.add(100 + random.below(50_000), &list)).collect();
        // The first is honest and lives.
        for source in &sources[1..] {
            match random.below(4) {
                0 => world.hosts[*source].lies = true,
                1 => world.kill_at(*source, random.below(5_000)),
                _ => {}
            }
        }
        let receivers: Vec<usize> =
            (0..1 + random.below(6)).map(|_| world.add(100 + random.below(50_000), &[])).collect();
        for receiver in &receivers {
            world.fetch(*receiver, &list, &sources);
            if random.below(4) == 0 {
                world.kill_at(*receiver, random.below(5_000));
            }
        }
        world.run(100_000_000);
        let liars: Vec<_> = world.hosts.iter().filter(|host| host.lies).map(|host| host.id).collect();
        for receiver in receivers.iter().map(|receiver| &world.hosts[*receiver]).filter(|host| host.is_alive)
        {
            assert_eq!(receiver.holds.len(), list.len(), "seed {seed}");
            assert!(receiver.distrusted.iter().all(|node| liars.contains(node)), "seed {seed}");
        }
    }
}
