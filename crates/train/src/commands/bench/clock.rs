//! The time of a step and of its parts.

use std::time::Instant;

use burn::tensor::Device;

use crate::error::Error;

/// The seconds of one step.
#[derive(Clone, Debug)]
pub struct Lap {
    /// All of it.
    pub seconds: f64,
    /// Its parts; none where they were not waited for.
    pub parts: Vec<f64>,
}

/// A clock that runs for one step.
pub struct Clock<'a> {
    device: &'a Device,
    waits: bool,
    since: Instant,
    parts: Vec<f64>,
}

impl<'a> Clock<'a> {
    /// Runs `step` until the device is done with it; `waits` is whether its parts are waited for.
    ///
    /// # Errors
    ///
    /// With exit code 1, where the device fails.
    pub fn time(
        device: &'a Device,
        waits: bool,
        step: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Lap, Error> {
        wait(device)?;
        let started = Instant::now();
        let mut clock = Self {
            device,
            waits,
            since: started,
            parts: Vec::new(),
        };
        step(&mut clock)?;
        wait(device)?;
        Ok(Lap {
            seconds: started.elapsed().as_secs_f64(),
            parts: clock.parts,
        })
    }

    /// Ends a part of the step.
    ///
    /// # Errors
    ///
    /// With exit code 1, where the device fails.
    pub fn part(&mut self) -> Result<(), Error> {
        if self.waits {
            wait(self.device)?;
            let now = Instant::now();
            self.parts.push((now - self.since).as_secs_f64());
            self.since = now;
        }
        Ok(())
    }
}

fn wait(device: &Device) -> Result<(), Error> {
    device
        .sync()
        .map_err(|error| Error::failure("the device failed").because(error))
}

/// The middle value, or the mean of the two in the middle.
///
/// # Panics
///
/// Where there are no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }

    #[test]
    fn the_parts_of_a_step_are_within_it() {
        let step = |clock: &mut Clock<'_>| clock.part().and_then(|()| clock.part());
        let lap = Clock::time(&Device::flex(), true, step).unwrap();
        assert_eq!(lap.parts.len(), 2);
        assert!(lap.parts.iter().sum::<f64>() <= lap.seconds);
        let whole = Clock::time(&Device::flex(), false, step).unwrap();
        assert!(whole.parts.is_empty());
    }
}
