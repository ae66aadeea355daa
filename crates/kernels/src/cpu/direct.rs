//! Convolution as a product of the images' rows with the weight, whatever the kernel's shape.
//!
//! An output pixel is a sum over the kernel's taps: the values of one input pixel, times the tap's
//! `[channels, filters]` matrix. Input pixels are read where they lie; those outside of the image are
//! a row of zeros. (Dukhan 2019, *The Indirect Convolution Algorithm*, arXiv:1907.02129.)

#![expect(
    unsafe_code,
    reason = "rows are pointers into the images, and threads write different pixels of one output"
)]

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::dispatch;
use super::layout::{Images, ImagesShape};
use super::product::{Panel, Panels, VECTORS, panels_of_tasks, rows_of, rows_product, store};
use super::sweep::Sweep;
use super::target::Target;
use super::weight::Weight;
use crate::Conv2dOptions;

/// Groups of rows that share a panel while it is in the nearest cache.
const BLOCK: usize = 8;

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight, options: Conv2dOptions) -> Buffer {
    let shape = weight.shape.output_shape(images.shape, options);
    let mut output = Buffer::new(shape.values());
    let sweep = Sweep::forward(weight.shape, shape, options);
    let operands = Operands {
        source: images.values(),
        from: images.shape,
        to: shape,
        groups: options.groups,
        target: Target::new(&mut output),
        panels: &weight.all_panels(options.groups),
    };
    operands.run(&sweep);
    output
}

/// The gradient by images of shape `to`: the convolution read backwards.
pub(crate) fn images_gradient(
    output_gradient: &Images,
    weight: &Weight,
    to: ImagesShape,
    options: Conv2dOptions,
) -> Buffer {
    let mut gradient = Buffer::new(to.values());
    for sweep in Sweep::backward(weight.shape, to, options) {
        let operands = Operands {
            source: output_gradient.values(),
            from: output_gradient.shape,
            to,
            groups: options.groups,
            target: Target::new(&mut gradient),
            panels: &weight.transposed_panels(&sweep.taps, options.groups),
        };
        operands.run(&sweep);
    }
    gradient
}

struct Operands<'a> {
    source: &'a [f32],
    from: ImagesShape,
    to: ImagesShape,
    groups: usize,
    target: Target<'a>,
    /// A group's matrix each, of the taps' values by the output's channels.
    panels: &'a [Panels],
}

impl Operands<'_> {
    fn run(&self, sweep: &Sweep) {
        let pixels = self.to.n * sweep.grid[0] * sweep.grid[1];
        assert!(self.source.len() >= self.from.values());
        let zeros = Buffer::zeros(self.from.channels);
        let (step, most) = (dispatch(Rows), dispatch(Rows) * BLOCK);
        // Tasks of nearly the same size, and no more than fit.
        let size = pixels.div_ceil(pixels.div_ceil(most).max(1));
        let size = size.next_multiple_of(step).max(step);
        let panels = self.groups * self.panels[0].count();
        let parts = panels_of_tasks(pixels.div_ceil(size), panels);
        (0..pixels)
            .into_par_iter()
            .step_by(size)
            .flat_map(|first| parts.par_iter().map(move |panels| (first, panels)))
            .for_each(|(first, panels)| {
                dispatch(Task {
                    sweep,
                    operands: self,
                    zeros: &zeros,
                    first,
                    count: size.min(pixels - first),
                    panels: panels.clone(),
                });
            });
    }
}

struct Rows;

impl WithSimd for Rows {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        rows_of::<S>()
    }
}

/// Pixels of the grid that one thread computes, of some of the output's channels.
struct Task<'a> {
    sweep: &'a Sweep,
    operands: &'a Operands<'a>,
    zeros: &'a [f32],
    first: usize,
    count: usize,
    /// Of all groups, one after the other.
    panels: Range<usize>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 14>(simd),
            8 => self.run::<S, 6>(simd),
            _ => self.run::<S, 4>(simd),
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(&self, simd: S) {
        let channels = self.operands.from.channels / self.operands.groups;
        let taps = self.sweep.taps.len();
        let targets = self.targets::<R>();
        let rows = self.rows::<R>();
        let panels = self.operands.panels[0].count();
        for index in self.panels.clone() {
            let (group, index) = (index / panels, index % panels);
            let panels = &self.operands.panels[group];
            assert_eq!(panels.depth(), taps * channels);
            assert_eq!(panels.lanes(), S::F32_LANES);
            let panel = panels.panel(index);
            let start = group * channels;
            let channel = group * (self.operands.to.channels / self.operands.groups);
            for (number, targets) in targets.iter().enumerate() {
                let rows = &rows[number * taps..(number + 1) * taps];
                // SAFETY: `rows` made the pointers for the channels of all groups, and the panel has
                // as many rows as `taps` times those of one.
                unsafe {
                    let from = panel.values;
                    if panel.vectors == VECTORS {
                        let sums = rows_product::<S, R, VECTORS>(simd, rows, start, channels, from);
                        self.write(simd, sums, targets, channel, panel);
                    } else {
                        let sums = rows_product::<S, R, 1>(simd, rows, start, channels, from);
                        self.write(simd, sums, targets, channel, panel);
                    }
                }
            }
        }
    }

    /// Writes a panel's channels of each pixel.
    ///
    /// # Safety
    ///
    /// No other thread writes these channels of these pixels.
    #[inline(always)]
    unsafe fn write<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        sums: [[S::f32s; V]; R],
        targets: &[Option<usize>; R],
        channel: usize,
        panel: Panel,
    ) {
        for (sum, target) in sums.into_iter().zip(targets) {
            if let Some(pixel) = target {
                // SAFETY: the panel's columns are channels of this pixel.
                unsafe {
                    let to = self
                        .operands
                        .target
                        .at(pixel + channel + panel.start, panel.columns);
                    store(simd, sum, to, panel.columns);
                }
            }
        }
    }

    /// For each block of `R` pixels, the rows of each tap; a block's taps lie together.
    fn rows<const R: usize>(&self) -> Vec<[*const f32; R]> {
        let ImagesShape {
            height,
            width,
            channels,
            ..
        } = self.operands.from;
        let blocks = self.count.div_ceil(R);
        let taps = self.sweep.taps.len();
        let mut rows = vec![[self.zeros.as_ptr(); R]; blocks * taps];
        for number in 0..self.count {
            let (image, [y, x]) = self.sweep.place(self.first + number);
            let start = image * self.operands.from.image();
            let [top, left] = [y * self.sweep.step[0], x * self.sweep.step[1]];
            let block = &mut rows[number / R * taps..(number / R + 1) * taps];
            for (row, tap) in block.iter_mut().zip(&self.sweep.taps) {
                let y = top.wrapping_add_signed(tap.offset[0]);
                let x = left.wrapping_add_signed(tap.offset[1]);
                if y < height && x < width {
                    let start = start + (y * width + x) * channels;
                    row[number % R] = self.operands.source[start..start + channels].as_ptr();
                }
            }
        }
        rows
    }

    /// For each block of `R` pixels, where each goes; none past the task's last pixel.
    fn targets<const R: usize>(&self) -> Vec<[Option<usize>; R]> {
        let to = self.operands.to;
        let mut targets = vec![[None; R]; self.count.div_ceil(R)];
        for number in 0..self.count {
            let (image, [y, x]) = self.sweep.place(self.first + number);
            let [y, x] = self.sweep.target([y, x]);
            let pixel = (image * to.height + y) * to.width + x;
            targets[number / R][number % R] = Some(pixel);
        }
        targets
            .into_iter()
            .map(|block| block.map(|pixel| pixel.map(|pixel| pixel * to.channels)))
            .collect()
    }
}
