//! Sums over images that are the same whatever the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;

/// Shares of the images, at most.
const SHARES: usize = 16;
/// Values of all shares' sums, where that leaves as many shares as an ordinary machine has cores.
const VALUES: usize = 1 << 20;
const CORES: usize = 8;
/// Values of the sum that a thread adds at a time.
const BLOCK: usize = 1 << 12;

/// The sum of what `add` adds to `values` zeros for each share of `n` images.
///
/// The shares are the same, and are summed in the same order, whatever the number of threads.
pub(crate) fn in_shares(
    n: usize,
    values: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Buffer {
    let shares: Vec<Buffer> = shares(n, values)
        .into_par_iter()
        .map(|images| {
            let mut sum = Buffer::zeros(values);
            add(images, &mut sum);
            sum
        })
        .collect();
    let mut shares = shares.into_iter();
    let mut total = shares.next().unwrap_or_else(|| Buffer::zeros(values));
    let rest: Vec<Buffer> = shares.collect();
    total
        .par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(index, total)| {
            for share in &rest {
                for (total, value) in total.iter_mut().zip(&share[index * BLOCK..]) {
                    *total += value;
                }
            }
        });
    total
}

/// The images of each share.
fn shares(n: usize, values: usize) -> Vec<Range<usize>> {
    let count = (VALUES / values.max(1)).clamp(CORES, SHARES);
    let size = n.div_ceil(count).max(1);
    let share = |start: usize| start..(start + size).min(n);
    (0..n).step_by(size).map(share).collect()
}
