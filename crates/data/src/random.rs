//! Randomness that can be asked for at any position.
//!
//! A stream is keyed by what it is for and where in the run it stands, never by what was drawn before it. So a run that
//! is resumed, or prepared by another number of threads, draws the same numbers.

use rand::SeedableRng;
use rand::seq::SliceRandom;

pub use rand::rngs::ChaCha8Rng;

/// What a random stream is for. The numbers are part of every run's reproducibility: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The order of the training images.
    Shuffle = 1,
    /// Augmentation of one image.
    Augment = 2,
    /// The views of one image that evaluation chooses at random.
    View = 3,
    /// What takes the place of an erased part of an image.
    Erase = 4,
    /// How the images of a batch are mixed.
    Mix = 5,
    /// Whether an image is mirrored in even epochs, or in odd ones.
    Flip = 6,
}

/// The stream of (seed, purpose, epoch, index): ChaCha8 keyed by these as four little-endian `u64`.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key
        .chunks_exact_mut(8)
        .zip([seed, purpose as u64, epoch, index])
    {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The order in which epoch `epoch` visits `n` images: a permutation of `0..n`.
pub fn permutation(seed: u64, epoch: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut stream(seed, Purpose::Shuffle, epoch, 0));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    /// A change here changes every run of every recipe: it may only come with a new major version.
    #[test]
    fn orders_are_pinned() {
        assert_eq!(permutation(1, 0, 10), [3, 6, 7, 1, 4, 2, 0, 9, 5, 8]);
        assert_eq!(permutation(1, 1, 10), [5, 7, 8, 6, 0, 1, 3, 9, 4, 2]);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let draw = |seed, purpose, epoch, index| stream(seed, purpose, epoch, index).next_u64();
        let base = draw(1, Purpose::Augment, 2, 3);
        assert_eq!(base, draw(1, Purpose::Augment, 2, 3));
        assert_ne!(base, draw(4, Purpose::Augment, 2, 3));
        assert_ne!(base, draw(1, Purpose::Augment, 4, 3));
        assert_ne!(base, draw(1, Purpose::Augment, 2, 4));
    }
}
