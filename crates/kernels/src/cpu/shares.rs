//! Sums over images that are the same whatever the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;

/// Shares of the images, at most.
const SHARES: usize = 16;

/// The sum of what `add` adds to `values` zeros for each share of `n` images.
///
/// The shares are the same, and are summed in the same order, whatever the number of threads.
pub(crate) fn in_shares(
    n: usize,
    values: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Buffer {
    let shares: Vec<Buffer> = shares(n)
        .into_par_iter()
        .map(|images| {
            let mut sum = Buffer::zeros(values);
            add(images, &mut sum);
            sum
        })
        .collect();
    let mut shares = shares.into_iter();
    let mut total = shares.next().unwrap_or_else(|| Buffer::zeros(values));
    for share in shares {
        for (total, value) in total.iter_mut().zip(share.iter()) {
            *total += value;
        }
    }
    total
}

/// The images of each share.
pub(crate) fn shares(n: usize) -> Vec<Range<usize>> {
    let size = n.div_ceil(SHARES).max(1);
    let share = |start: usize| start..(start + size).min(n);
    (0..n).step_by(size).map(share).collect()
}
