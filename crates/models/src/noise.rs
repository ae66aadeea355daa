//! What is random in a forward pass.
//!
//! Layers that draw take the next values of a stream that belongs to the thread. A training loop
//! that calls [`start`] before each forward pass makes what is drawn a pure function of seed, step,
//! part and place in the network, so that a run can be resumed exactly; without it, the stream
//! begins with a fixed key and goes on.

use std::cell::{Cell, RefCell};

use kernels::SharedBatch;
use rand::rngs::ChaCha8Rng;
use rand::seq::index;
use rand::{Rng, SeedableRng};

thread_local! {
    static STREAM: RefCell<ChaCha8Rng> = RefCell::new(stream(0, 0, 0));
    static OWN: Cell<Option<Own>> = const { Cell::new(None) };
}

/// Which images of a batch are this process's.
#[derive(Clone, Copy)]
struct Own {
    before: usize,
    images: usize,
    after: usize,
}

/// Begins the stream of the forward pass of micro-batch `part` of `step` in a run with this seed.
pub fn start(seed: u64, step: u64, part: u64) {
    STREAM.set(stream(seed, step, part));
    OWN.set(None);
}

/// The same in a process that has a share of the micro-batch: it draws what is drawn for its images in a process that has
/// all of them.
pub fn start_share(seed: u64, step: u64, part: u64, batch: &SharedBatch) {
    start(seed, step, part);
    let (before, images) = (batch.before(), batch.own());
    let after = batch.whole() - before - images;
    OWN.set(Some(Own {
        before,
        images,
        after,
    }));
}

/// Where a stream is.
pub(crate) type Position = [u8; 49];

/// Where the thread's stream is.
pub(crate) fn position() -> Position {
    STREAM.with_borrow(ChaCha8Rng::serialize_state)
}

/// Runs `again` on what was drawn from `position` on; afterwards the stream goes on as if it had not
/// run.
pub(crate) fn replay<T>(position: Position, again: impl FnOnce() -> T) -> T {
    let now = STREAM.replace(ChaCha8Rng::deserialize_state(&position));
    let result = again();
    STREAM.set(now);
    result
}

/// A key of its own in ChaCha's 256-bit key space.
fn stream(seed: u64, step: u64, part: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(b"forward\0");
    key[16..24].copy_from_slice(&step.to_le_bytes());
    key[24..].copy_from_slice(&part.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// `count` values, as many for each image, each 0 with `probability`, else `1 / (1 - probability)`: their mean is 1.
pub(crate) fn mask(count: usize, probability: f64) -> Vec<f32> {
    let kept = (1.0 / (1.0 - probability)) as f32;
    // Of the 2^32 words, the lowest are dropped.
    let dropped = (probability * 2.0_f64.powi(32)) as u32;
    let values_of = |others: fn(Own) -> usize| {
        OWN.get()
            .map_or(0, |own| others(own) * (count / own.images))
    };
    STREAM.with_borrow_mut(|rng| {
        skip(rng, values_of(|own| own.before));
        let values = (0..count)
            .map(|_| if rng.next_u32() < dropped { 0.0 } else { kept })
            .collect();
        skip(rng, values_of(|own| own.after));
        values
    })
}

fn skip(rng: &mut ChaCha8Rng, words: usize) {
    rng.set_word_pos(rng.get_word_pos() + words as u128);
}

/// `count` of the numbers below `length`, in no order.
pub(crate) fn some_of(length: usize, count: usize) -> Vec<usize> {
    STREAM.with_borrow_mut(|rng| index::sample(rng, length, count).into_vec())
}

#[cfg(test)]
mod tests {
    use kernels::communicator;

    use super::*;

    #[test]
    fn what_is_dropped_depends_on_seed_step_and_part_alone() {
        let drawn = |seed, step, part| {
            start(seed, step, part);
            mask(256, 0.5)
        };
        let first = drawn(1, 2, 3);
        assert_ne!(first, mask(256, 0.5), "the stream goes on");
        for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0)] {
            assert_ne!(first, drawn(other.0, other.1, other.2), "{other:?}");
        }
        assert_eq!(first, drawn(1, 2, 3));
    }

    /// Two processes that have 2 and 3 of five images draw what one draws that has all; so do they the next time.
    #[test]
    fn a_share_draws_what_its_images_have_in_the_whole() {
        let draw = |images: usize| [7, 1].map(|values| mask(images * values, 0.5));
        start(1, 2, 3);
        let whole = draw(5);
        let shares = communicator::threads(2).into_iter().zip([2, 3]);
        let shares: Vec<_> = shares
            .map(|(communicator, own)| {
                start_share(1, 2, 3, &SharedBatch::new(communicator, vec![2, 3]));
                draw(own)
            })
            .collect();
        for (time, whole) in whole.iter().enumerate() {
            let joined = [shares[0][time].clone(), shares[1][time].clone()].concat();
            assert_eq!(&joined, whole);
        }
        start(1, 2, 3);
        assert_eq!(
            draw(5),
            whole,
            "the next forward pass may be of a whole batch"
        );
    }

    /// Within four standard deviations of the binomial distribution.
    #[test]
    fn as_much_is_dropped_as_was_asked_for() {
        let count = 100_000;
        for probability in [0.0, 0.2, 0.5, 0.9] {
            start(0, 0, 0);
            let values = mask(count, probability);
            let dropped = values.iter().filter(|value| **value == 0.0).count() as f64;
            let deviation = (count as f64 * probability * (1.0 - probability)).sqrt();
            let expected = count as f64 * probability;
            assert!(
                (dropped - expected).abs() <= 4.0 * deviation,
                "{probability}: dropped {dropped} of {count}"
            );
        }
    }
}
