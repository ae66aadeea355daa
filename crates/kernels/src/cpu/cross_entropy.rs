//! The mean cross-entropy of scores, a row a task.

use rayon::prelude::*;

use super::activation::exp;
use super::buffer::Buffer;
use super::dispatch::vectorized;

/// Scores, a row an image, and what they should have said.
pub(crate) struct Scores<'a> {
    pub logits: &'a [f32],
    pub labels: &'a [usize],
    pub classes: usize,
    /// The share of each target that is spread over all classes.
    pub smoothing: f64,
}

impl Scores<'_> {
    /// The mean over all rows.
    pub fn loss(&self) -> f32 {
        let of_rows: Vec<f64> = self
            .logits
            .par_chunks(self.classes)
            .zip(self.labels)
            .map(|(row, label)| {
                let sum: f64 = row.iter().map(|value| f64::from(*value)).sum();
                let target = (1.0 - self.smoothing) * f64::from(row[*label])
                    + self.smoothing * sum / self.classes as f64;
                log_sum(row) - target
            })
            .collect();
        (of_rows.iter().sum::<f64>() / of_rows.len() as f64) as f32
    }

    /// The gradient by the logits, from that by the loss.
    pub fn gradient(&self, of_loss: f32) -> Buffer {
        let mut gradient = Buffer::new(self.logits.len());
        let scale = of_loss / self.labels.len() as f32;
        let spread = (self.smoothing / self.classes as f64) as f32;
        gradient
            .par_chunks_mut(self.classes)
            .zip(self.logits.par_chunks(self.classes))
            .zip(self.labels)
            .for_each(|((to, row), label)| {
                let log_sum = log_sum(row) as f32;
                vectorized(
                    #[inline(always)]
                    || {
                        for (to, value) in to.iter_mut().zip(row) {
                            *to = scale * (exp(value - log_sum) - spread);
                        }
                    },
                );
                to[*label] -= scale * (1.0 - self.smoothing) as f32;
            });
        gradient
    }
}

/// The logarithm of the sum of exponentials.
fn log_sum(row: &[f32]) -> f64 {
    let largest = row
        .iter()
        .fold(f32::NEG_INFINITY, |most, value| most.max(*value));
    let sum: f64 = row
        .iter()
        .map(|value| f64::from(value - largest).exp())
        .sum();
    f64::from(largest) + sum.ln()
}
