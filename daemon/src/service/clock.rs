//! Time as an argument, so that tests need not wait for it.

use std::future::Future;
use std::time::{Duration, Instant};

/// Tells and waits for the time.
pub(super) trait Clock {
    /// The time since some beginning.
    fn now(&self) -> Duration;

    /// Waits until that time.
    fn sleep_until(&self, time: Duration) -> impl Future<Output = ()>;
}

/// The time of this machine. Sleeps on tokio's timers.
#[derive(Debug)]
pub(super) struct WallClock {
    began: Instant,
}

impl WallClock {
    /// A clock that begins now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep_until(&self, time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep_until((self.began + time).into())
    }
}

#[cfg(test)]
pub(super) mod virtual_clock {
    //! A clock that goes on only when everything waits for it.

    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[derive(Debug, Default)]
    struct Time {
        now: Duration,
        awaited: Vec<Duration>,
    }

    /// Clones show the same time.
    #[derive(Clone, Debug, Default)]
    pub(in crate::service) struct VirtualClock {
        time: Rc<RefCell<Time>>,
    }

    impl Clock for VirtualClock {
        fn now(&self) -> Duration {
            self.time.borrow().now
        }

        fn sleep_until(&self, time: Duration) -> impl Future<Output = ()> {
            let clock = Rc::clone(&self.time);
            poll_fn(move |_context| {
                let mut clock = clock.borrow_mut();
                if clock.now >= time {
                    return Poll::Ready(());
                }
                clock.awaited.push(time);
                Poll::Pending
            })
        }
    }

    impl VirtualClock {
        /// Runs `future` until the clock shows `end`; what it gave if it ended by itself.
        pub(in crate::service) fn run<T>(&self, future: impl Future<Output = T>, end: Duration) -> Option<T> {
            let mut future = std::pin::pin!(future);
            let mut context = Context::from_waker(Waker::noop());
            loop {
                self.time.borrow_mut().awaited.clear();
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return Some(output);
                }
                let mut time = self.time.borrow_mut();
                let next = time.awaited.iter().min().copied().expect("whoever waits, waits for the clock");
                if next > end {
                    return None;
                }
                time.now = next;
            }
        }
    }
}
