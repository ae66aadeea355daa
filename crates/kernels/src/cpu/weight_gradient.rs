//! The gradient of a convolution by its weight: sums of outer products over output pixels.
//!
//! Where the weight is small, fixed shares of the images are summed apart and then together, in a
//! fixed order; where it is large, each task sums a part of it over all images. Neither depends on
//! how many threads there are.

#![expect(unsafe_code, reason = "the products go over rows of the images")]

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::dispatch;
use super::layout::{Images, ImagesShape};
use super::patches::{self, Patches};
use super::product::{Near, OuterProducts, Pairs, rows_at_a_time};
use super::shares::in_shares;
use super::sweep::Tap;
use super::weight::WeightShape;
use crate::Conv2dOptions;

/// Values of a weight that is summed in shares, at most.
const SMALL: usize = 1 << 16;
/// Channels that a task of a large weight takes.
const CHANNELS: usize = 64;

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

/// Adds the outer products of rows of `depth` values with rows of `filters` values to `sum`
/// `[depth, filters]`.
pub(crate) fn add_outer_products(
    rows: &[f32],
    depth: usize,
    gradient: &[f32],
    filters: usize,
    sum: &mut [f32],
) {
    let to = ImagesShape {
        n: 1,
        channels: filters,
        height: 1,
        width: gradient.len() / filters,
    };
    let shape = WeightShape {
        filters,
        channels: depth,
        kernel: [1, 1],
    };
    let sums = Sums {
        images: rows,
        gradient,
        from: ImagesShape {
            channels: depth,
            ..to
        },
        to,
        shape,
        taps: shape.every_tap(|_, _| 0),
        options: Conv2dOptions::default(),
    };
    for part in sums.parts(depth) {
        let values = sums.values_of(&part);
        sums.add(&part, 0..1, &mut sum[values]);
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
                let start = first * self.to.width * self.to.channels;
                let values = lines * self.to.width * self.to.channels;
                let gradient = &self.gradient[start..start + values];
                add_outer_products(&rows, patches.depth(), gradient, self.shape.filters, sum);
            }
        })
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
        let pairs = &self.pairs(part.tap, images);
        dispatch(Task {
            sums: self,
            part,
            pairs,
            values,
        });
    }

    /// Values from a pixel of the tap to the next, on both sides.
    fn steps(&self) -> [usize; 2] {
        [
            self.options.stride[1] * self.from.channels,
            self.to.channels,
        ]
    }

    /// The rows of input and output pixels that meet in a tap.
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
        let most = rows_at_a_time(self.steps());
        let mut pairs = Vec::new();
        let mut add = |image: usize, line: usize, count: usize| {
            let y = (line * down).wrapping_add_signed(tap.offset[0]);
            let x = (columns.start * right).wrapping_add_signed(tap.offset[1]);
            let from = (image * self.from.height + y) * self.from.width + x;
            let to = (image * self.to.height + line) * self.to.width + columns.start;
            for first in (0..count).step_by(most) {
                pairs.push(Pairs {
                    start: [
                        (from + first * right) * self.from.channels,
                        (to + first) * self.to.channels,
                    ],
                    step: self.steps(),
                    count: most.min(count - first),
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

/// What one thread adds to a part.
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
        let most = rows_at_a_time(self.sums.steps());
        let mut near = Near::default();
        let mut rest = self.pairs;
        while !rest.is_empty() {
            let mut rows = 0;
            let fitting = rest.iter().take_while(|pairs| {
                rows += pairs.count;
                rows <= most
            });
            let (block, after) = rest.split_at(fitting.count());
            self.add_block(simd, block, &mut near);
            rest = after;
        }
    }
}

impl Task<'_> {
    /// Adds as many pairs as are summed at a time.
    #[inline(always)]
    fn add_block<S: Simd>(&mut self, simd: S, pairs: &[Pairs], near: &mut Near) {
        let shape = self.sums.shape;
        let groups = self.sums.options.groups;
        let filters = shape.filters / groups;
        for group in 0..groups {
            let channel = group * shape.channels + self.part.channels.start;
            let products = OuterProducts {
                left: self.sums.images[channel..].as_ptr(),
                right: self.sums.gradient[group * filters..].as_ptr(),
                pairs,
                rows: self.part.channels.len(),
                columns: filters,
                to: self.values[group * filters..].as_mut_ptr(),
                to_step: shape.filters,
            };
            // SAFETY: pairs are pixels, and these are some of their channels; the values are a row
            // of filters for each of the part's channels.
            unsafe { products.add(simd, near) };
        }
    }
}
