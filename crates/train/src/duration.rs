//! How long something lasts, or how often it happens: in epochs, steps or images.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::bounds;

/// A number of epochs, steps or images, never zero. In a recipe: `{ epochs = 30 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "a duration", rename_all = "snake_case")]
pub enum Duration {
    /// Passes over the training set.
    Epochs(#[serde(deserialize_with = "bounds::positive")] u64),
    /// Updates of the weights.
    Steps(#[serde(deserialize_with = "bounds::positive")] u64),
    /// Training images seen, each repetition counted.
    Images(#[serde(deserialize_with = "bounds::positive")] u64),
}

/// What a pass over the training set is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Images of the training set.
    pub images: u64,
    /// Images a step.
    pub batch: u64,
    /// Whether the last batch of an epoch is left out where it would be short.
    pub drop_last: bool,
}

impl Epoch {
    /// Steps of one pass over the training set; 0 where the set has no full batch and short ones are left out.
    pub fn steps(&self) -> u64 {
        if self.drop_last {
            self.images / self.batch
        } else {
            self.images.div_ceil(self.batch)
        }
    }

    /// Images that one pass shows to the network.
    fn images_seen(&self) -> u64 {
        if self.drop_last {
            self.steps() * self.batch
        } else {
            self.images
        }
    }
}

impl Duration {
    /// The number of steps after which the duration is over: images are rounded up to a whole step.
    ///
    /// Saturates at `u64::MAX`, and is 0 for an epoch without steps.
    pub fn steps(&self, epoch: &Epoch) -> u64 {
        match *self {
            Duration::Epochs(epochs) => epochs.saturating_mul(epoch.steps()),
            Duration::Steps(steps) => steps,
            Duration::Images(_) if epoch.steps() == 0 => 0,
            Duration::Images(images) => {
                let (epochs, rest) = (images / epoch.images_seen(), images % epoch.images_seen());
                epochs * epoch.steps() + rest.div_ceil(epoch.batch)
            }
        }
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self {
            Duration::Epochs(count) => (count, "epoch"),
            Duration::Steps(count) => (count, "step"),
            Duration::Images(count) => (count, "image"),
        };
        write!(f, "{count} {unit}{}", if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT_LAST: Epoch = Epoch {
        images: 10,
        batch: 4,
        drop_last: false,
    };
    const FULL_ONLY: Epoch = Epoch {
        images: 10,
        batch: 4,
        drop_last: true,
    };

    #[test]
    fn an_epoch_counts_its_short_batch_unless_it_is_dropped() {
        assert_eq!(Duration::Epochs(3).steps(&SHORT_LAST), 9);
        assert_eq!(Duration::Epochs(3).steps(&FULL_ONLY), 6);
        assert_eq!(Duration::Steps(7).steps(&FULL_ONLY), 7);
    }

    #[test]
    fn images_end_at_the_first_step_that_has_seen_them() {
        let seen_after = |steps: u64, epoch: &Epoch| -> u64 {
            (0..steps)
                .map(|step| (epoch.images - step % epoch.steps() * epoch.batch).min(epoch.batch))
                .sum()
        };
        for epoch in [SHORT_LAST, FULL_ONLY] {
            for images in 1..50 {
                let steps = Duration::Images(images).steps(&epoch);
                assert!(
                    seen_after(steps, &epoch) >= images,
                    "{images} images in {steps} steps of {epoch:?}"
                );
                assert!(
                    seen_after(steps - 1, &epoch) < images,
                    "{images} images in {steps} steps of {epoch:?}"
                );
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let smaller_than_a_batch = Epoch {
            images: 3,
            batch: 4,
            drop_last: true,
        };
        assert_eq!(Duration::Images(9).steps(&smaller_than_a_batch), 0);
        assert_eq!(Duration::Epochs(u64::MAX).steps(&SHORT_LAST), u64::MAX);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(Duration::Epochs(1).to_string(), "1 epoch");
        assert_eq!(Duration::Images(50_000).to_string(), "50000 images");
    }
}
