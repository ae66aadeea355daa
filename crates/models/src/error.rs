//! What can be wrong with the configuration of a network.

use thiserror::Error;

/// A network that cannot be built, or does not take images of a size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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
}
