//! The numbers of a state, which snapshots share.

use std::{hint::black_box, ops::Deref, sync::Arc, thread::JoinHandle};

use crate::large_vector::zeros;

/// Elements from which on a thread prepares memory for a change: below it, that costs less than a thread.
const PREPARED_ELEMENTS_MIN: usize = 1 << 20;
/// Elements in the smallest page.
const PAGE_ELEMENTS: usize = 4096 / size_of::<f32>();

/// Parameters and moments.
pub(crate) struct Vectors {
    pub(crate) parameters: Vec<f32>,
    /// As many vectors as the job keeps, each as long as the parameters.
    pub(crate) moments: Vec<f32>,
}

impl Vectors {
    /// As many zeros.
    fn zeros_like(&self) -> Self {
        Self::zeros(self.parameters.len(), self.moments.len())
    }

    fn zeros(parameters: usize, moments: usize) -> Self {
        Self { parameters: zeros(parameters), moments: zeros(moments) }
    }

    /// Has the kernel give it all its memory.
    fn touch(&mut self) {
        for vector in [&mut self.parameters, &mut self.moments] {
            black_box(vector).iter_mut().step_by(PAGE_ELEMENTS).for_each(|value| *value = 0.0);
        }
    }
}

/// Vectors that can be held as they are at the cost of a pointer. The next change is then written beside them, to memory of
/// older ones where nobody holds those any more: so a snapshot is copied within the pass that changes everything anyway.
pub(crate) struct SharedVectors {
    present: Arc<Vectors>,
    past: Past,
}

/// Memory for a change.
enum Past {
    /// None that is known.
    Nothing,
    /// Of numbers that are past, and perhaps still held.
    Numbers(Arc<Vectors>),
    /// New, and being touched: the kernel takes a millisecond for some megabytes of it, which is not to hold up a step.
    Coming(JoinHandle<Vectors>),
}

impl Past {
    /// What nobody holds.
    fn take(&mut self) -> Option<Vectors> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => None,
            Self::Numbers(vectors) => Arc::into_inner(vectors),
            Self::Coming(thread) => thread.join().ok(),
        }
    }
}

impl SharedVectors {
    pub(crate) fn new(parameters: Vec<f32>, moments: Vec<f32>) -> Self {
        Self { present: Arc::new(Vectors { parameters, moments }), past: Past::Nothing }
    }

    /// The numbers as they are, whatever becomes of them here.
    pub(crate) fn share(&self) -> Arc<Vectors> {
        Arc::clone(&self.present)
    }

    /// Sees to it that the next change, of what is held, finds memory.
    pub(crate) fn prepare(&mut self) {
        let is_there = match &self.past {
            Past::Nothing => false,
            Past::Numbers(vectors) => Arc::strong_count(vectors) == 1,
            Past::Coming(_) => true,
        };
        let (parameters, moments) = (self.present.parameters.len(), self.present.moments.len());
        if is_there || parameters + moments < PREPARED_ELEMENTS_MIN {
            return;
        }
        let prepare = move || {
            let mut vectors = Vectors::zeros(parameters, moments);
            vectors.touch();
            vectors
        };
        // Without a thread the change makes it itself.
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(prepare);
        self.past = thread.map_or(Past::Nothing, Past::Coming);
    }

    /// Calls `change(before, after)`: without `before`, `after` is what is to be changed; with it, something as long to be
    /// written over. Nothing has changed if it fails, which it must not do once it has written.
    pub(crate) fn change<R, E>(
        &mut self,
        change: impl FnOnce(Option<&Vectors>, &mut Vectors) -> Result<R, E>,
    ) -> Result<R, E> {
        if let Some(vectors) = Arc::get_mut(&mut self.present) {
            return change(None, vectors);
        }
        let mut after = self.past.take().unwrap_or_else(|| self.present.zeros_like());
        let result = change(Some(&self.present), &mut after);
        let after = Arc::new(after);
        self.past = Past::Numbers(match result {
            Ok(_) => std::mem::replace(&mut self.present, after),
            Err(_) => after,
        });
        result
    }
}

impl Deref for SharedVectors {
    type Target = Vectors;

    fn deref(&self) -> &Vectors {
        &self.present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds one to everything; whether that was in place.
    fn grow(vectors: &mut SharedVectors) -> bool {
        let grown = vectors.change(|before, after| {
            let is_in_place = before.is_none();
            if let Some(before) = before {
                after.parameters.copy_from_slice(&before.parameters);
                after.moments.copy_from_slice(&before.moments);
            }
            after.parameters.iter_mut().chain(&mut after.moments).for_each(|value| *value += 1.0);
            Ok::<_, ()>(is_in_place)
        });
        grown.unwrap()
    }

    #[test]
    fn what_is_held_stays_and_memory_that_nobody_holds_serves_again() {
        let mut vectors = SharedVectors::new(vec![0.0, 1.0], vec![5.0; 4]);
        assert!(grow(&mut vectors), "nobody holds them");
        let first = vectors.share();
        assert!(!grow(&mut vectors));
        assert!(grow(&mut vectors), "only the older ones are held");
        let second = vectors.share();
        let address = first.parameters.as_ptr();
        assert_eq!((&*first.parameters, &*first.moments), (&[1.0, 2.0][..], &[6.0; 4][..]));
        drop(first);
        assert!(!grow(&mut vectors));
        assert_eq!(vectors.parameters.as_ptr(), address, "the memory of the first");
        assert_eq!((&*second.parameters, &*second.moments), (&[3.0, 4.0][..], &[8.0; 4][..]));
        let third = vectors.share();
        assert!(!grow(&mut vectors), "both older ones are held");
        assert_eq!((third.parameters[0], second.parameters[0], vectors.parameters[0]), (4.0, 3.0, 5.0));
    }

    #[test]
    fn who_may_hold_them_and_does_not_is_in_the_way_only_while_it_is_there() {
        let mut vectors = SharedVectors::new(vec![0.0], vec![1.0]);
        let may_hold = Arc::downgrade(&vectors.share());
        assert!(may_hold.upgrade().is_some_and(|held| held.moments == [1.0]));
        drop(may_hold);
        assert!(grow(&mut vectors));
        let may_hold = Arc::downgrade(&vectors.share());
        assert!(!grow(&mut vectors));
        assert_eq!(vectors.parameters, [2.0]);
        assert!(
            may_hold.upgrade().is_none_or(|held| held.parameters == [1.0]),
            "never the numbers of another step"
        );
    }

    #[test]
    fn memory_of_large_vectors_is_prepared_while_they_are_held() {
        let mut vectors = SharedVectors::new(vec![1.0; PREPARED_ELEMENTS_MIN], vec![2.0; 3]);
        let first = vectors.share();
        vectors.prepare();
        assert!(matches!(vectors.past, Past::Coming(_)));
        assert!(!grow(&mut vectors));
        assert!(matches!(vectors.past, Past::Numbers(_)), "the first");
        let second = vectors.share();
        vectors.prepare();
        assert!(matches!(vectors.past, Past::Coming(_)), "the first is held");
        assert!(!grow(&mut vectors));
        drop((first, second));
        let third = vectors.share();
        vectors.prepare();
        assert!(matches!(vectors.past, Past::Numbers(_)), "the second serves again");
        assert!(!grow(&mut vectors));
        let all = |value| move |found: &f32| *found == value;
        assert!(third.parameters.iter().all(all(3.0)) && vectors.parameters.iter().all(all(4.0)));
        assert_eq!(vectors.moments, [5.0; 3]);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let mut vectors = SharedVectors::new(vec![1.0], vec![2.0]);
        let held = vectors.share();
        assert_eq!(vectors.change(|_, _| Err::<(), _>("no")), Err("no"));
        assert!(Arc::ptr_eq(&held, &vectors.share()));
    }
}
