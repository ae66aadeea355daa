//! The gradient of a convolution by its weight: sums of outer products over output pixels.
//!
//! Where the weight is small, fixed shares of the images are summed apart and then together, in a
//! fixed order; where it is large, each task sums a part of it over all images. Neither depends on
//! how many threads there are.

#![expect(unsafe_code, reason = "the products go over rows of the images")]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::direct::Tap;
use super::layout::{Images, ImagesShape};
use super::patches::{self, Patches};
use super::product::{Pairs, VECTORS, load, outer_products, store};
use super::shares::in_shares;
use super::weight::WeightShape;
use crate::Conv2dOptions;

/// Values of a weight that is summed in shares, at most.
const SMALL: usize = 1 << 16;
/// Channels that a task of a large weight takes.
const CHANNELS: usize = 64;
/// Values of images and gradients that stay in a near cache.
const BLOCK: usize = 1 << 15;

/// The gradient, `[taps, channels of a group, filters]`.
pub(crate) fn weight_gradient(
    images: &Images,
    output_gradient: &Images,
    shape: WeightShape,
    options: Conv2dOptions,
) -> Buffer {
    let offset = |place: usize, axis: usize| {
        (place * options.dilation[axis]) as isize - options.padding[axis] as isize
    };
    let sums = Sums {
        images: images.values(),
        gradient: output_gradient.values(),
        from: images.shape,
        to: output_gradient.shape,
        shape,
        taps: shape.every_tap(offset),
        options,
    };
    if patches::fits(shape, options) {
        sums.of_gathered_rows()
    } else if shape.values() <= SMALL {
        sums.of_shares()
    } else {
        sums.of_parts()
    }
}

struct Sums<'a> {
    images: &'a [f32],
    gradient: &'a [f32],
    from: ImagesShape,
    to: ImagesShape,
    shape: WeightShape,
    taps: Vec<Tap>,
    options: Conv2dOptions,
}

impl Sums<'_> {
    fn of_shares(&self) -> Buffer {
        in_shares(self.from.n, self.shape.values(), |images, sum| {
            for part in self.parts(self.shape.channels) {
                let values = self.values_of(&part);
                self.add(&part, images.clone(), &mut sum[values]);
            }
        })
    }

    /// Gathers the taps of each pixel into a row first: as a 1x1 convolution of many channels.
    fn of_gathered_rows(&self) -> Buffer {
        let patches = Patches {
            images: self.images,
            from: self.from,
            to: self.to,
            kernel: self.shape.kernel,
            options: self.options,
        };
        in_shares(self.from.n, self.shape.values(), |images, sum| {
            let past = images.end * self.to.height;
            for first in (images.start * self.to.height..past).step_by(patches.lines()) {
                let lines = patches.lines().min(past - first);
                let rows = patches.gather(first, lines);
                let to = ImagesShape {
                    n: 1,
                    height: lines,
                    ..self.to
                };
                let start = first * self.to.width * self.to.channels;
                self.of_rows(&rows, &self.gradient[start..], to, patches.depth())
                    .add_all(sum);
            }
        })
    }

    /// The sums over gathered rows of `depth` values.
    fn of_rows<'a>(
        &self,
        rows: &'a [f32],
        gradient: &'a [f32],
        to: ImagesShape,
        depth: usize,
    ) -> Sums<'a> {
        let from = ImagesShape {
            channels: depth,
            ..to
        };
        let shape = WeightShape {
            filters: self.shape.filters,
            channels: depth,
            kernel: [1, 1],
        };
        Sums {
            images: rows,
            gradient,
            from,
            to,
            shape,
            taps: shape.every_tap(|_, _| 0),
            options: Conv2dOptions::default(),
        }
    }

    fn add_all(&self, sum: &mut [f32]) {
        for part in self.parts(self.shape.channels) {
            let values = self.values_of(&part);
            self.add(&part, 0..self.from.n, &mut sum[values]);
        }
    }

    fn of_parts(&self) -> Buffer {
        let mut total = Buffer::zeros(self.shape.values());
        let mut rest = &mut total[..];
        let mut parts = Vec::new();
        for part in self.parts(CHANNELS) {
            let (values, after) = rest.split_at_mut(self.values_of(&part).len());
            parts.push((part, values));
            rest = after;
        }
        parts
            .into_par_iter()
            .for_each(|(part, values)| self.add(&part, 0..self.from.n, values));
        total
    }

    /// The weight in parts of a tap and at most so many channels, in its order.
    fn parts(&self, channels: usize) -> Vec<Part> {
        let all = self.shape.channels;
        let parts_of = |&tap: &Tap| {
            (0..all).step_by(channels).map(move |start| Part {
                tap,
                channels: start..(start + channels).min(all),
            })
        };
        self.taps.iter().flat_map(parts_of).collect()
    }

    fn values_of(&self, part: &Part) -> Range<usize> {
        let first = part.tap.index * self.shape.channels;
        (first + part.channels.start) * self.shape.filters
            ..(first + part.channels.end) * self.shape.filters
    }

    /// Adds what these images give to a part.
    fn add(&self, part: &Part, images: Range<usize>, values: &mut [f32]) {
        let pairs = self.pairs(part.tap, images);
        let row = part.channels.len() + self.shape.filters;
        let arch = Arch::new();
        let mut block: Vec<Pairs> = Vec::new();
        let mut rows = 0;
        for (index, next) in pairs.iter().enumerate() {
            block.push(*next);
            rows += next.count;
            if rows * row >= BLOCK || index + 1 == pairs.len() {
                let pairs = &block;
                arch.dispatch(Task {
                    sums: self,
                    part,
                    pairs,
                    values: &mut *values,
                });
                block.clear();
                rows = 0;
            }
        }
    }

    /// The rows of input and output pixels that meet in a tap, at most [`BLOCK`] values long each.
    fn pairs(&self, tap: Tap, images: Range<usize>) -> Vec<Pairs> {
        let [down, right] = self.options.stride;
        let reach = |offset: isize, stride: usize, from: usize, to: usize| {
            // Output pixels whose tap is inside of the image.
            let first = (-offset).max(0).unsigned_abs().div_ceil(stride);
            let past = (from as isize - offset)
                .max(0)
                .unsigned_abs()
                .div_ceil(stride);
            first..past.min(to)
        };
        let lines = reach(tap.offset[0], down, self.from.height, self.to.height);
        let columns = reach(tap.offset[1], right, self.from.width, self.to.width);
        if lines.is_empty() || columns.is_empty() {
            return Vec::new();
        }
        let dense = columns.len() == self.to.width && self.to.width * right == self.from.width;
        let all =
            dense && lines.len() == self.to.height && self.to.height * down == self.from.height;
        let longest = (BLOCK / (self.from.channels + self.to.channels)).max(64);
        let mut pairs = Vec::new();
        let mut add = |image: usize, line: usize, count: usize| {
            let y = (line * down).wrapping_add_signed(tap.offset[0]);
            let x = (columns.start * right).wrapping_add_signed(tap.offset[1]);
            let from = (image * self.from.height + y) * self.from.width + x;
            let to = (image * self.to.height + line) * self.to.width + columns.start;
            for first in (0..count).step_by(longest) {
                pairs.push(Pairs {
                    start: [
                        (from + first * right) * self.from.channels,
                        (to + first) * self.to.channels,
                    ],
                    step: [right * self.from.channels, self.to.channels],
                    count: longest.min(count - first),
                });
            }
        };
        if all && down == 1 {
            add(images.start, 0, images.len() * self.to.pixels());
            return pairs;
        }
        for image in images {
            for line in lines.clone() {
                add(image, line, columns.len());
            }
        }
        pairs
    }
}

/// Channels of a tap.
struct Part {
    tap: Tap,
    channels: Range<usize>,
}

/// What one thread adds to a part while images and gradients are in a near cache.
struct Task<'a> {
    sums: &'a Sums<'a>,
    part: &'a Part,
    pairs: &'a [Pairs],
    values: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let groups = self.sums.options.groups;
        let filters = self.sums.shape.filters / groups;
        let wide = VECTORS * S::F32_LANES;
        for group in 0..groups {
            let mut start = 0;
            while start < filters {
                let columns = Columns {
                    group,
                    start: group * filters + start,
                    count: (filters - start).min(wide),
                };
                // Vectors that are all full are loaded without a mask.
                let columns = if columns.count < wide {
                    columns.at_most(S::F32_LANES)
                } else {
                    columns
                };
                start += columns.count;
                if columns.count == wide {
                    self.add_columns::<S, VECTORS>(simd, columns, wide);
                } else if columns.count == S::F32_LANES {
                    self.add_columns::<S, 1>(simd, columns, S::F32_LANES);
                } else {
                    self.add_columns::<S, 1>(simd, columns, columns.count);
                }
            }
        }
    }
}

/// Filters of a group.
#[derive(Clone, Copy)]
struct Columns {
    group: usize,
    /// The first, counted over all groups.
    start: usize,
    count: usize,
}

impl Columns {
    fn at_most(self, count: usize) -> Self {
        Self {
            count: self.count.min(count),
            ..self
        }
    }
}

impl Task<'_> {
    /// `count` is that of the columns, but known to the compiler where vectors are full.
    #[inline(always)]
    fn add_columns<S: Simd, const V: usize>(&mut self, simd: S, columns: Columns, count: usize) {
        let mut channel = self.part.channels.start;
        while channel < self.part.channels.end {
            channel += match (self.part.channels.end - channel, S::F32_LANES) {
                (8.., 16) => self.add_rows::<S, 8, V>(simd, columns, count, channel),
                (6.., 8) => self.add_rows::<S, 6, V>(simd, columns, count, channel),
                (4.., _) => self.add_rows::<S, 4, V>(simd, columns, count, channel),
                (2.., _) => self.add_rows::<S, 2, V>(simd, columns, count, channel),
                _ => self.add_rows::<S, 1, V>(simd, columns, count, channel),
            };
        }
    }

    #[inline(always)]
    fn add_rows<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        columns: Columns,
        count: usize,
        channel: usize,
    ) -> usize {
        let from = columns.group * self.sums.shape.channels + channel;
        let left = self.sums.images[from..].as_ptr();
        let right = self.sums.gradient[columns.start..].as_ptr();
        // SAFETY: pairs are pixels, and these are some of their channels.
        let sums = unsafe { outer_products::<S, R, V>(simd, left, right, count, self.pairs) };
        let filters = self.sums.shape.filters;
        for (row, sums) in sums.into_iter().enumerate() {
            let start = (channel - self.part.channels.start + row) * filters + columns.start;
            let values = &mut self.values[start..start + count];
            // SAFETY: both go over these values.
            unsafe {
                let before = load::<S, V>(simd, values.as_ptr(), count);
                let mut after = before;
                for ((after, before), sum) in after.iter_mut().zip(before).zip(sums) {
                    *after = simd.add_f32s(before, sum);
                }
                store(simd, after, values.as_mut_ptr(), count);
            }
        }
        R
    }
}
