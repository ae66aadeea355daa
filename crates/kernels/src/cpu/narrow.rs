//! Convolution in groups of few channels, one of them being a depthwise one.
//!
//! A group of `width` channels and as many filters is a sum of `width` depthwise convolutions: if the
//! channels of each group are turned by 0, 1, .. places, each filter finds each of its channels at its
//! own place once. What is depthwise, is a product of vectors of channels, whatever the groups.
//!
//! A task turns the pixels that it needs into memory of its own first, with zeros around the image, so
//! that the sums themselves know neither borders nor groups.

#![expect(
    unsafe_code,
    reason = "sums go over pointers into a task's own memory, and threads write different pixels"
)]

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::{dispatch, lanes};
use super::layout::{Images, ImagesShape};
use super::product::{load, store};
use super::shares::in_shares;
use super::sweep::{Sweep, Tap};
use super::target::Target;
use super::weight::{Weight, WeightShape};
use crate::Conv2dOptions;

/// Channels of a group from which products of matrices are faster.
pub(crate) const WIDE: usize = 8;
/// Channels that a task takes, at most.
const CHANNELS: usize = 64;
/// Values of turned pixels that stay in a near cache.
const BLOCK: usize = 1 << 15;

/// Whether this convolution is computed here.
pub(crate) fn fits(shape: WeightShape, options: Conv2dOptions) -> bool {
    options.groups > 1 && shape.channels < WIDE && shape.filters == shape.channels * options.groups
}

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight, options: Conv2dOptions) -> Buffer {
    let to = weight.shape.output_shape(images.shape, options);
    let mut output = Buffer::new(to.values());
    let sweep = Sweep::forward(weight.shape, to, options);
    let turned = turned_weight(weight, &sweep.taps, |filter, channel| [filter, channel]);
    let target = Target::new(&mut output);
    Convolution::new(&sweep, images, weight.shape).run(&turned, to, target);
    output
}

/// The gradient by images of shape `to`.
pub(crate) fn images_gradient(
    output_gradient: &Images,
    weight: &Weight,
    to: ImagesShape,
    options: Conv2dOptions,
) -> Buffer {
    let mut gradient = Buffer::new(to.values());
    for sweep in Sweep::backward(weight.shape, to, options) {
        let turned = turned_weight(weight, &sweep.taps, |channel, filter| [filter, channel]);
        let target = Target::new(&mut gradient);
        Convolution::new(&sweep, output_gradient, weight.shape).run(&turned, to, target);
    }
    gradient
}

/// The gradient by the weight, `[taps, channels of a group, filters]`.
pub(crate) fn weight_gradient(
    images: &Images,
    output_gradient: &Images,
    shape: WeightShape,
    options: Conv2dOptions,
) -> Buffer {
    let sweep = Sweep::forward(shape, output_gradient.shape, options);
    let convolution = Convolution::new(&sweep, images, shape);
    let turned = in_shares(images.shape.n, shape.values(), |images, sums| {
        convolution.add_products(images, output_gradient, sums);
    });
    // From what is turned by r to the channel that is then at a filter's place.
    let (width, filters) = (shape.channels, shape.filters);
    let mut gradient = Buffer::new(shape.values());
    for (row, values) in gradient.chunks_exact_mut(filters).enumerate() {
        let (tap, channel) = (row / width, row % width);
        for (filter, value) in values.iter_mut().enumerate() {
            let turn = (channel + width - filter % width) % width;
            *value = turned[(tap * width + turn) * filters + filter];
        }
    }
    gradient
}

/// For each tap and turn, a factor for each of the output's channels. `place` says, of the place of
/// an output's channel in its group and that of the source's, which is the filter and which the
/// channel.
fn turned_weight(
    weight: &Weight,
    taps: &[Tap],
    place: impl Fn(usize, usize) -> [usize; 2],
) -> Vec<f32> {
    let WeightShape {
        filters,
        channels: width,
        ..
    } = weight.shape;
    let (values, kernel) = (weight.values(), weight.shape.taps());
    let mut turned = Vec::with_capacity(taps.len() * width * filters);
    for tap in taps {
        for turn in 0..width {
            turned.extend((0..filters).map(|to| {
                let from = (to + turn) % width;
                let [filter, channel] = place(to % width, from);
                let group = to / width * width;
                values[((group + filter) * width + channel) * kernel + tap.index]
            }));
        }
    }
    turned
}

/// A sweep over images in groups of `width` channels.
struct Convolution<'a> {
    sweep: &'a Sweep,
    images: &'a Images,
    width: usize,
    /// The first line and column that a tap reads, and how many lie between it and the last.
    reach: [(isize, usize); 2],
}

impl<'a> Convolution<'a> {
    fn new(sweep: &'a Sweep, images: &'a Images, weight: WeightShape) -> Self {
        let reach = [0, 1].map(|axis| {
            let offsets = || sweep.taps.iter().map(|tap| tap.offset[axis]);
            let first = offsets().min().unwrap_or(0);
            let last = offsets().max().unwrap_or(0);
            (first, (last - first).unsigned_abs())
        });
        Self {
            sweep,
            images,
            width: weight.channels,
            reach,
        }
    }

    fn run(&self, weight: &[f32], to: ImagesShape, target: Target<'_>) {
        let lines = self.lines();
        let bands = self.sweep.grid[0].div_ceil(lines);
        let chunks = self.chunks();
        (0..to.n * bands * chunks.len())
            .into_par_iter()
            .for_each(|task| {
                let channels = chunks[task % chunks.len()].clone();
                let (image, band) = (task / chunks.len() / bands, task / chunks.len() % bands);
                let first = band * lines;
                let turned = self.turn(
                    image,
                    first..self.sweep.grid[0].min(first + lines),
                    channels,
                );
                dispatch(Sums {
                    convolution: self,
                    turned: &turned,
                    weight: &packed(weight, to.channels, &turned),
                    to,
                    target,
                });
            });
    }

    /// Adds to `sums` `[taps, turns, channels]` what these images give.
    fn add_products(&self, images: Range<usize>, output_gradient: &Images, sums: &mut [f32]) {
        let lines = self.lines();
        for channels in self.chunks() {
            for image in images.clone() {
                for first in (0..self.sweep.grid[0]).step_by(lines) {
                    let lines = first..self.sweep.grid[0].min(first + lines);
                    let turned = self.turn(image, lines, channels.clone());
                    dispatch(Products {
                        convolution: self,
                        turned: &turned,
                        output_gradient,
                        sums: &mut *sums,
                    });
                }
            }
        }
    }

    /// The channels of each task: whole groups.
    fn chunks(&self) -> Vec<Range<usize>> {
        let all = self.images.shape.channels;
        let size = CHANNELS / self.width * self.width;
        let chunk = |start: usize| start..(start + size).min(all);
        (0..all).step_by(size).map(chunk).collect()
    }

    /// Lines of the grid that a task takes.
    fn lines(&self) -> usize {
        let line = self.columns() * self.width * CHANNELS.min(self.images.shape.channels);
        let lines = (BLOCK / line.max(1)).saturating_sub(self.reach[0].1);
        (lines / self.sweep.step[0]).max(1)
    }

    /// Columns of the source that a line of the grid reads.
    fn columns(&self) -> usize {
        self.sweep.grid[1].saturating_sub(1) * self.sweep.step[1] + self.reach[1].1 + 1
    }

    /// What these lines of the grid read of these channels.
    fn turn(&self, image: usize, lines: Range<usize>, channels: Range<usize>) -> Turned {
        let shape = self.images.shape;
        let rows = (lines.len() - 1) * self.sweep.step[0] + self.reach[0].1 + 1;
        let columns = self.columns();
        let step = channels.len().next_multiple_of(lanes());
        let mut values = Buffer::zeros(rows * columns * self.width * step);
        let top = (lines.start * self.sweep.step[0]) as isize + self.reach[0].0;
        let left = self.reach[1].0;
        let inside = |first: isize, count: usize, side: usize| {
            let start = (-first).clamp(0, count as isize);
            let end = (side as isize - first).clamp(start, count as isize);
            start as usize..end as usize
        };
        for row in inside(top, rows, shape.height) {
            let y = (top + row as isize) as usize;
            for column in inside(left, columns, shape.width) {
                let x = (left + column as isize) as usize;
                let from = ((image * shape.height + y) * shape.width + x) * shape.channels;
                let pixel = &self.images.values()[from + channels.start..from + channels.end];
                let to = (row * columns + column) * self.width * step;
                match self.width {
                    1 => values[to..to + pixel.len()].copy_from_slice(pixel),
                    2 => turn_pixel::<2>(pixel, &mut values[to..], step),
                    4 => turn_pixel::<4>(pixel, &mut values[to..], step),
                    width => turn_any_pixel(pixel, width, &mut values[to..], step),
                }
            }
        }
        Turned {
            values,
            step,
            columns,
            image,
            lines,
            channels,
        }
    }

    /// Where each tap and turn is, from a pixel of the grid on.
    fn offsets(&self, turned: &Turned) -> Vec<usize> {
        let pixel = self.width * turned.step;
        let offset = |tap: &Tap| {
            let [row, column] =
                [0, 1].map(|axis| (tap.offset[axis] - self.reach[axis].0).unsigned_abs());
            (row * turned.columns + column) * pixel
        };
        let turns = |start: usize| (0..self.width).map(move |turn| start + turn * turned.step);
        self.sweep.taps.iter().map(offset).flat_map(turns).collect()
    }
}

fn turn_pixel<const W: usize>(pixel: &[f32], to: &mut [f32], step: usize) {
    for turn in 0..W {
        let to = &mut to[turn * step..];
        for (to, group) in to.chunks_exact_mut(W).zip(pixel.chunks_exact(W)) {
            for (place, value) in to.iter_mut().enumerate() {
                *value = group[(place + turn) % W];
            }
        }
    }
}

fn turn_any_pixel(pixel: &[f32], width: usize, to: &mut [f32], step: usize) {
    for turn in 0..width {
        let to = &mut to[turn * step..];
        for (to, group) in to.chunks_exact_mut(width).zip(pixel.chunks_exact(width)) {
            for (place, value) in to.iter_mut().enumerate() {
                *value = group[(place + turn) % width];
            }
        }
    }
}

/// Some channels of some lines, `[rows, columns, turns, channels]`, with zeros outside of the image.
struct Turned {
    values: Buffer,
    /// Values from a turn to the next.
    step: usize,
    columns: usize,
    image: usize,
    lines: Range<usize>,
    channels: Range<usize>,
}

/// The factors of a task's channels, as far apart as its turned channels.
fn packed(weight: &[f32], channels: usize, turned: &Turned) -> Buffer {
    let mut packed = Buffer::zeros(weight.len() / channels * turned.step);
    let rows = packed.chunks_exact_mut(turned.step);
    for (to, from) in rows.zip(weight.chunks_exact(channels)) {
        to[..turned.channels.len()].copy_from_slice(&from[turned.channels.clone()]);
    }
    packed
}

/// A task's output pixels.
struct Sums<'a> {
    convolution: &'a Convolution<'a>,
    turned: &'a Turned,
    weight: &'a [f32],
    to: ImagesShape,
    target: Target<'a>,
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many pixels at a time as divide a line, where that can be.
        match self.convolution.sweep.grid[1] {
            columns if columns % 8 == 0 => self.run::<S, 8>(simd),
            columns if columns % 7 == 0 => self.run::<S, 7>(simd),
            _ => self.run::<S, 4>(simd),
        }
    }
}

impl Sums<'_> {
    #[inline(always)]
    fn run<S: Simd, const P: usize>(&self, simd: S) {
        let Convolution { sweep, width, .. } = *self.convolution;
        let offsets = self.convolution.offsets(self.turned);
        let pixel = width * self.turned.step;
        assert_eq!(self.weight.len(), offsets.len() * self.turned.step);
        for line in self.turned.lines.clone() {
            let row = (line - self.turned.lines.start) * sweep.step[0];
            let row = &self.turned.values[row * self.turned.columns * pixel..];
            let mut column = 0;
            while column < sweep.grid[1] {
                let many = column + P <= sweep.grid[1];
                for start in (0..self.turned.step).step_by(S::F32_LANES) {
                    let from = row[column * sweep.step[1] * pixel + start..].as_ptr();
                    let weight = self.weight.as_ptr().wrapping_add(start);
                    // SAFETY: the turned pixels hold what every tap of these columns reads, and the
                    // weight has a row for each tap and turn.
                    unsafe {
                        let step = [sweep.step[1] * pixel, self.turned.step];
                        if many {
                            let sums = dot::<S, P>(simd, from, weight, step, &offsets);
                            self.write(simd, sums, [line, column], start);
                        } else {
                            let sums = dot::<S, 1>(simd, from, weight, step, &offsets);
                            self.write(simd, sums, [line, column], start);
                        }
                    }
                }
                column += if many { P } else { 1 };
            }
        }
    }

    /// # Safety
    ///
    /// No other thread writes these channels of these pixels.
    #[inline(always)]
    unsafe fn write<S: Simd, const P: usize>(
        &self,
        simd: S,
        sums: [S::f32s; P],
        [line, column]: [usize; 2],
        start: usize,
    ) {
        let columns = (self.turned.channels.len() - start).min(S::F32_LANES);
        for (number, sum) in sums.into_iter().enumerate() {
            let [y, x] = self.convolution.sweep.target([line, column + number]);
            let pixel = (self.turned.image * self.to.height + y) * self.to.width + x;
            let place = pixel * self.to.channels + self.turned.channels.start + start;
            // SAFETY: these channels of this pixel.
            unsafe { store(simd, [sum], self.target.at(place, columns), columns) };
        }
    }
}

/// The sums of `P` pixels: over all offsets, a vector of the source times one of the weight.
///
/// # Safety
///
/// From each pixel, `step[0]` values after the other, each offset can be read for a vector, and from
/// the weight as many vectors, `step[1]` values after each other.
#[inline(always)]
unsafe fn dot<S: Simd, const P: usize>(
    simd: S,
    from: *const f32,
    weight: *const f32,
    step: [usize; 2],
    offsets: &[usize],
) -> [S::f32s; P] {
    let mut sums = [simd.splat_f32s(0.0); P];
    let mut weight = weight;
    for offset in offsets {
        // SAFETY: within the weight and the pixels by the caller's promise.
        unsafe {
            let factor = weight.cast::<S::f32s>().read_unaligned();
            for (number, sum) in sums.iter_mut().enumerate() {
                let place = from.add(offset + number * step[0]);
                let value = place.cast::<S::f32s>().read_unaligned();
                *sum = simd.mul_add_e_f32s(factor, value, *sum);
            }
        }
        weight = weight.wrapping_add(step[1]);
    }
    sums
}

/// What a task adds to the gradient by the weight.
struct Products<'a> {
    convolution: &'a Convolution<'a>,
    turned: &'a Turned,
    output_gradient: &'a Images,
    sums: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // As many at a time as divide the taps of the usual kernels.
        let offsets = self.convolution.offsets(self.turned);
        match offsets.len() {
            count if count % 9 == 0 => self.run::<S, 9>(simd, &offsets),
            count if count % 5 == 0 => self.run::<S, 5>(simd, &offsets),
            count if count % 7 == 0 => self.run::<S, 7>(simd, &offsets),
            _ => self.run::<S, 1>(simd, &offsets),
        }
    }
}

impl Products<'_> {
    #[inline(always)]
    fn run<S: Simd, const T: usize>(&mut self, simd: S, offsets: &[usize]) {
        let channels = self.turned.channels.clone();
        for start in (0..channels.len()).step_by(S::F32_LANES) {
            let columns = (channels.len() - start).min(S::F32_LANES);
            for (number, offsets) in offsets.chunks_exact(T).enumerate() {
                let sums = self.of_band::<S, T>(simd, offsets, start, columns);
                for (tap, sum) in sums.into_iter().enumerate() {
                    let row = (number * T + tap) * self.output_gradient.shape.channels;
                    let to = &mut self.sums[row + channels.start + start..][..columns];
                    // SAFETY: `columns` values on both sides.
                    unsafe {
                        let [before] = load::<S, 1>(simd, to.as_ptr(), columns);
                        store(simd, [simd.add_f32s(before, sum)], to.as_mut_ptr(), columns);
                    }
                }
            }
        }
    }

    /// Over the task's pixels, the vector of the output's gradient times those of these offsets.
    #[inline(always)]
    fn of_band<S: Simd, const T: usize>(
        &self,
        simd: S,
        offsets: &[usize],
        start: usize,
        columns: usize,
    ) -> [S::f32s; T] {
        let Convolution { sweep, width, .. } = *self.convolution;
        let to = self.output_gradient.shape;
        let pixel = width * self.turned.step;
        let channel = self.turned.channels.start + start;
        let mut sums = [simd.splat_f32s(0.0); T];
        for line in self.turned.lines.clone() {
            let row = (line - self.turned.lines.start) * sweep.step[0];
            let row = &self.turned.values[row * self.turned.columns * pixel + start..];
            let first = (self.turned.image * to.height + line) * to.width * to.channels + channel;
            for column in 0..sweep.grid[1] {
                let gradient = &self.output_gradient.values()[first + column * to.channels..];
                let from = row[column * sweep.step[1] * pixel..].as_ptr();
                // SAFETY: `columns` channels of the gradient's pixel; the turned pixels hold what
                // every tap of this column reads.
                unsafe {
                    let [gradient] = load::<S, 1>(simd, gradient.as_ptr(), columns);
                    for (sum, offset) in sums.iter_mut().zip(offsets) {
                        let value = from.add(*offset).cast::<S::f32s>().read_unaligned();
                        *sum = simd.mul_add_e_f32s(gradient, value, *sum);
                    }
                }
            }
        }
        sums
    }
}
