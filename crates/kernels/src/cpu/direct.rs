//! Convolution as a product of the images' rows with the weight, whatever the kernel's shape.
//!
//! An output pixel is a sum over the kernel's taps: the values of one input pixel, times the tap's
//! `[channels, filters]` matrix. Input pixels are read where they lie; those outside of the image are
//! a row of zeros. (Dukhan 2019, *The Indirect Convolution Algorithm*, arXiv:1907.02129.)

#![expect(
    unsafe_code,
    reason = "rows are pointers into the images, and threads write different pixels of one output"
)]

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::dispatch;
use super::layout::{Images, ImagesShape};
use super::product::{Panel, Panels, VECTORS, rows_of, rows_product, store};
use super::target::Target;
use super::weight::Weight;
use crate::Conv2dOptions;

/// Groups of rows that share a panel while it is in the nearest cache.
const BLOCK: usize = 8;

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight, options: Conv2dOptions) -> Buffer {
    let shape = weight.shape.output_shape(images.shape, options);
    let mut output = Buffer::new(shape.values());
    let sweep = Sweep {
        grid: [shape.height, shape.width],
        step: options.stride,
        taps: weight.shape.every_tap(|tap, axis| {
            (tap * options.dilation[axis]) as isize - options.padding[axis] as isize
        }),
        start: [0, 0],
        spacing: [1, 1],
    };
    sweep.run(&Operands {
        source: images.values(),
        from: images.shape,
        to: shape,
        groups: options.groups,
        target: Target::new(&mut output),
        panels: &weight.panels(&sweep.taps, options.groups),
    });
    output
}

/// The gradient by images of shape `to`: the convolution read backwards.
///
/// With a stride, input pixels differ in the taps that reach them: those of the same remainder by the
/// stride have the same ones, and are a sweep.
pub(crate) fn images_gradient(
    output_gradient: &Images,
    weight: &Weight,
    to: ImagesShape,
    options: Conv2dOptions,
) -> Buffer {
    let mut gradient = Buffer::new(to.values());
    let [vertical, horizontal] = options.stride;
    for start in (0..vertical).flat_map(|y| (0..horizontal).map(move |x| [y, x])) {
        let along = |side: usize, axis: usize| {
            side.saturating_sub(start[axis])
                .div_ceil(options.stride[axis])
        };
        let sweep = Sweep {
            grid: [along(to.height, 0), along(to.width, 1)],
            step: [1, 1],
            taps: weight.taps_that_reach(start, options),
            start,
            spacing: options.stride,
        };
        sweep.run(&Operands {
            source: output_gradient.values(),
            from: output_gradient.shape,
            to,
            groups: options.groups,
            target: Target::new(&mut gradient),
            panels: &weight.transposed_panels(&sweep.taps, options.groups),
        });
    }
    gradient
}

/// A tap of the kernel, and where it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// Its place in the kernel, row by row.
    pub index: usize,
    /// From the grid's pixel, multiplied by the step, to the source's.
    pub offset: [isize; 2],
}

/// Output pixels that are all the same sum over taps.
struct Sweep {
    /// How many, down and across.
    grid: [usize; 2],
    /// Source pixels from one to the next.
    step: [usize; 2],
    /// What each sums.
    taps: Vec<Tap>,
    /// The first one's place in the output.
    start: [usize; 2],
    /// Output pixels from one to the next.
    spacing: [usize; 2],
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

impl Sweep {
    fn run(&self, operands: &Operands<'_>) {
        let pixels = operands.to.n * self.grid[0] * self.grid[1];
        assert!(operands.source.len() >= operands.from.values());
        let zeros = Buffer::zeros(operands.from.channels);
        let rows = dispatch(Rows) * BLOCK;
        (0..pixels.div_ceil(rows)).into_par_iter().for_each(|task| {
            let first = task * rows;
            dispatch(Task {
                sweep: self,
                operands,
                zeros: &zeros,
                first,
                count: rows.min(pixels - first),
            });
        });
    }

    /// The image of a pixel of the grid, and its place there.
    fn place(&self, pixel: usize) -> (usize, [usize; 2]) {
        let [height, width] = self.grid;
        let (line, x) = (pixel / width, pixel % width);
        (line / height, [line % height, x])
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

/// Pixels of the grid that one thread computes.
struct Task<'a> {
    sweep: &'a Sweep,
    operands: &'a Operands<'a>,
    zeros: &'a [f32],
    first: usize,
    count: usize,
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
        for (group, panels) in self.operands.panels.iter().enumerate() {
            let rows = self.rows::<R>(group * channels);
            assert_eq!(panels.depth(), taps * channels);
            assert_eq!(panels.lanes(), S::F32_LANES);
            let channel = group * (self.operands.to.channels / self.operands.groups);
            for panel in (0..panels.count()).map(|index| panels.panel(index)) {
                for (number, targets) in targets.iter().enumerate() {
                    let rows = &rows[number * taps..(number + 1) * taps];
                    // SAFETY: `rows` made the pointers for `channels` values each, and the panel has
                    // as many rows as `taps` times that.
                    unsafe {
                        if panel.vectors == VECTORS {
                            let sums =
                                rows_product::<S, R, VECTORS>(simd, rows, channels, panel.values);
                            self.write(simd, sums, targets, channel, panel);
                        } else {
                            let sums = rows_product::<S, R, 1>(simd, rows, channels, panel.values);
                            self.write(simd, sums, targets, channel, panel);
                        }
                    }
                }
            }
        }
    }

    /// Writes a panel's channels of each pixel.
    ///
    /// # Safety
    ///
    /// No other thread writes these pixels.
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
    fn rows<const R: usize>(&self, channel: usize) -> Vec<[*const f32; R]> {
        let ImagesShape {
            height,
            width,
            channels,
            ..
        } = self.operands.from;
        let count = channels / self.operands.groups;
        let blocks = self.count.div_ceil(R);
        let taps = self.sweep.taps.len();
        let mut rows = vec![[self.zeros.as_ptr(); R]; blocks * taps];
        for number in 0..self.count {
            let (image, [y, x]) = self.sweep.place(self.first + number);
            let start = image * self.operands.from.image() + channel;
            let [top, left] = [y * self.sweep.step[0], x * self.sweep.step[1]];
            let block = &mut rows[number / R * taps..(number / R + 1) * taps];
            for (row, tap) in block.iter_mut().zip(&self.sweep.taps) {
                let y = top.wrapping_add_signed(tap.offset[0]);
                let x = left.wrapping_add_signed(tap.offset[1]);
                if y < height && x < width {
                    let start = start + (y * width + x) * channels;
                    row[number % R] = self.operands.source[start..start + count].as_ptr();
                }
            }
        }
        rows
    }

    /// For each block of `R` pixels, where each goes; none past the task's last pixel.
    fn targets<const R: usize>(&self) -> Vec<[Option<usize>; R]> {
        let to = self.operands.to;
        let Sweep { start, spacing, .. } = self.sweep;
        let mut targets = vec![[None; R]; self.count.div_ceil(R)];
        for number in 0..self.count {
            let (image, [y, x]) = self.sweep.place(self.first + number);
            let line = image * to.height + start[0] + y * spacing[0];
            let pixel = line * to.width + start[1] + x * spacing[1];
            targets[number / R][number % R] = Some(pixel);
        }
        targets
            .into_iter()
            .map(|block| block.map(|pixel| pixel.map(|pixel| pixel * to.channels)))
            .collect()
    }
}
