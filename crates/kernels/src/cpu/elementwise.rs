//! Sums of images, value by value.

use rayon::prelude::*;

use burn::backend::flex::FlexTensor;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::Images;

/// Values that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// `left + right`, in the memory of one of them where nobody else holds it.
pub(crate) fn add(left: FlexTensor, right: FlexTensor) -> FlexTensor {
    let (mut left, mut right) = (Images::of(left), Images::of(right));
    if let Some(values) = left.values_mut() {
        add_to(values, right.values());
        return left.into_tensor();
    }
    if let Some(values) = right.values_mut() {
        add_to(values, left.values());
        return right.into_tensor();
    }
    let mut sum = Buffer::new(left.shape.values());
    sum.par_chunks_mut(BLOCK)
        .zip(left.values().par_chunks(BLOCK))
        .zip(right.values().par_chunks(BLOCK))
        .for_each(|((sum, left), right)| {
            vectorized(
                #[inline(always)]
                || {
                    for ((sum, left), right) in sum.iter_mut().zip(left).zip(right) {
                        *sum = left + right;
                    }
                },
            );
        });
    left.shape.tensor(sum)
}

fn add_to(values: &mut [f32], others: &[f32]) {
    values
        .par_chunks_mut(BLOCK)
        .zip(others.par_chunks(BLOCK))
        .for_each(|(values, others)| {
            vectorized(
                #[inline(always)]
                || {
                    for (value, other) in values.iter_mut().zip(others) {
                        *value += other;
                    }
                },
            );
        });
}
