//! What can be wrong with the configuration of a network.

use thiserror::Error;

/// A network that cannot be built, or does not take images of a size.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// A number that must be positive is zero.
    #[error("`{0}` is zero")]
    Zero(&'static str),
    /// The network takes images of another size.
    #[error("the network takes images of {expected} pixels, found {}x{}", found[0], found[1])]
    ImageSize {
        /// What it takes.
        expected: String,
        /// `[height, width]`.
        found: [usize; 2],
    },
    /// The network is deeper than images of this size.
    #[error("the network takes images of at least {least}x{least} pixels, found {}x{}", found[0], found[1])]
    TooSmall {
        /// The least height and width.
        least: usize,
        /// `[height, width]`.
        found: [usize; 2],
    },
    /// Something must be a probability below 1.
    #[error("`{0}` is {1}, expected a number from 0 to below 1")]
    Probability(&'static str, f64),
    /// Something must be a number that is not infinite.
    #[error("`{0}` is {1}, expected a finite number")]
    NotFinite(&'static str, f64),
    /// The network's family has no such option.
    #[error("`{0}` is no option of this model")]
    NoSuchOption(&'static str),
}

impl ConfigError {
    pub(crate) fn if_zero(name: &'static str, value: usize) -> Result<(), Self> {
        if value == 0 {
            return Err(Self::Zero(name));
        }
        Ok(())
    }

    pub(crate) fn unless_probability(name: &'static str, value: f64) -> Result<(), Self> {
        if (0.0..1.0).contains(&value) {
            return Ok(());
        }
        Err(Self::Probability(name, value))
    }

    pub(crate) fn unless_finite(name: &'static str, value: f64) -> Result<(), Self> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Self::NotFinite(name, value))
    }

    /// Refuses images of another size `[height, width]` than that of a square of side `expected`.
    pub(crate) fn if_not(expected: usize, found: [usize; 2]) -> Result<(), Self> {
        if found == [expected, expected] {
            return Ok(());
        }
        let expected = format!("{expected}x{expected}");
        Err(Self::ImageSize { expected, found })
    }

    /// Refuses images of a size `[height, width]` below `least` along either axis.
    pub(crate) fn if_below(least: usize, found: [usize; 2]) -> Result<(), Self> {
        if found[0].min(found[1]) < least {
            return Err(Self::TooSmall { least, found });
        }
        Ok(())
    }
}
