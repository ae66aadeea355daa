//! Lookahead: training goes on from slow weights again and again, which follow it from afar.

use serde::{Deserialize, Serialize};

/// Lookahead in steps: every so many updates, the slow weights move towards the network, running statistics included, which
/// then goes on from them (M. Zhang et al. 2019, arXiv:1907.08610, algorithm 1). What they keep of themselves grows as the
/// run does, and the network goes on from them at the end of each epoch, too, without moving them (K. Jordan 2024,
/// arXiv:2404.00498, section 3.4, and the author's program).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookahead {
    /// Updates of the network from one of the slow weights to the next.
    pub every: u64,
    /// What the slow weights would keep of themselves over each update of the network at the end of the run.
    pub decay: f64,
    /// Of the share of the run that is over, by which that is less.
    pub power: f64,
    /// Updates before the slow weights begin as the network.
    pub from: u64,
}

/// What is done after an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// The slow weights begin as the network, or move towards it, keeping this share of themselves; it goes on from them.
    Ahead(f64),
    /// The network goes on from the slow weights as they are.
    Back,
}

impl Lookahead {
    /// What is done after update number `step`, from 1, of a run of `steps`: first the one, then the other.
    pub fn after(&self, step: u64, steps: u64, steps_per_epoch: u64) -> Vec<Look> {
        if step <= self.from {
            return Vec::new();
        }
        let ahead = step.is_multiple_of(self.every).then(|| {
            let over = (step as f64 / steps as f64).powf(self.power);
            Look::Ahead(self.decay.powf(self.every as f64) * over)
        });
        let is_last = step == steps || step.is_multiple_of(steps_per_epoch);
        ahead
            .into_iter()
            .chain(is_last.then_some(Look::Back))
            .collect()
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
            from: 144,
        };
        let after = |step| lookahead.after(step, 476, 48);
        assert_eq!(after(140), []);
        assert_eq!(after(144), []);
        assert_eq!(after(146), []);
        assert_eq!(after(192), [Look::Back]);
        assert_eq!(after(476), [Look::Back]);
        for (step, expected) in [(145, 0.021_872_6), (475, 0.768_914_4)] {
            let [Look::Ahead(kept)] = after(step)[..] else {
                panic!("{step}: {:?}", after(step));
            };
            assert!((kept - expected).abs() < 1e-6, "{step}: {kept}");
        }
        assert!(matches!(after(240)[..], [Look::Ahead(_), Look::Back]));
    }
}
