//! Lookahead: training goes on from slow weights again and again, which follow it from afar.

use serde::{Deserialize, Serialize};

/// Lookahead in steps: the slow weights begin as the network; every so many updates they move towards it, running statistics
/// included, and it goes on from them (M. Zhang et al. 2019, arXiv:1907.08610, algorithm 1). What they keep of themselves
/// grows as the run does, and the run ends with them (K. Jordan 2024, arXiv:2404.00498, section 3.4, and the author's
/// program).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookahead {
    /// Updates of the network from one of the slow weights to the next.
    pub every: u64,
    /// What the slow weights would keep of themselves over each update of the network at the end of the run.
    pub decay: f64,
    /// Of the share of the run that is over, by which that is less.
    pub power: f64,
}

impl Lookahead {
    /// The share of themselves that the slow weights keep after update number `step`, from 1, of a run of `steps`; none where
    /// they do not move, and the network does not go on from them.
    pub fn kept_after(&self, step: u64, steps: u64) -> Option<f64> {
        if step.is_multiple_of(self.every) {
            let over = (step as f64 / steps as f64).powf(self.power);
            return Some(self.decay.powf(self.every as f64) * over);
        }
        (step == steps).then_some(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps and shares as the author's program computes them of these numbers.
    #[test]
    fn slow_weights_keep_more_and_more_of_themselves() {
        let lookahead = Lookahead {
            every: 5,
            decay: 0.95,
            power: 3.0,
        };
        let kept = |step| lookahead.kept_after(step, 476);
        assert_eq!(kept(1), None);
        assert_eq!(kept(192), None);
        assert_eq!(kept(476), Some(1.0));
        for (step, expected) in [(5, 8.968_24e-7), (145, 0.021_872_6), (475, 0.768_914_4)] {
            let kept = kept(step).unwrap();
            assert!((kept / expected - 1.0).abs() < 1e-5, "{step}: {kept}");
        }
    }
}
