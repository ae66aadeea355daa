//! The factor that keeps small gradients of 16 bits from becoming zero.

use serde::{Deserialize, Serialize};

/// PyTorch's first factor; each overflow of the first steps halves it.
const FIRST: f64 = 65536.0;
/// Updates without an overflow after which the factor is doubled.
const PATIENCE: u64 = 2000;

/// What a loss is multiplied by before its gradients are computed, and these are divided by afterwards (Micikevicius et al.
/// 2017, arXiv:1710.03740, section 3.2), by the rule of PyTorch's `GradScaler`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    factor: f64,
    /// Updates since it last changed.
    since: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self {
            factor: FIRST,
            since: 0,
        }
    }
}

impl LossScale {
    /// By which the loss is multiplied.
    pub fn factor(self) -> f64 {
        self.factor
    }

    /// The scale after gradients that were all finite, or not: those of the latter are not used.
    pub fn after(self, finite: bool) -> Self {
        let (factor, since) = match (finite, self.since + 1) {
            (false, _) => (self.factor / 2.0, 0),
            (true, PATIENCE) => (self.factor * 2.0, 0),
            (true, since) => (self.factor, since),
        };
        Self { factor, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_at_an_overflow_and_rises_after_patience() {
        let mut scale = LossScale::default().after(false);
        assert_eq!(scale.factor(), 32768.0);
        for _ in 1..PATIENCE {
            scale = scale.after(true);
            assert_eq!(scale.factor(), 32768.0);
        }
        assert_eq!(scale.after(false).factor(), 16384.0);
        assert_eq!(scale.after(true).factor(), 65536.0);
        assert_eq!(scale.after(true).after(true).factor(), 65536.0);
    }
}
