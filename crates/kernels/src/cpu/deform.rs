//! Deformable convolution: the moved taps of a pixel are gathered into one row first.

#![expect(
    unsafe_code,
    reason = "threads write the gradients of different images"
)]

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::{Images, ImagesShape};
use super::product::{Panels, multiply};
use super::shares::in_shares;
use super::sweep::{Sweep, Tap};
use super::target::Target;
use super::weight::Weight;
use super::weight_gradient::add_outer_products;
use crate::DeformConv2dOptions;

/// Values of gathered rows that stay in a near cache.
const BLOCK: usize = 1 << 15;

/// What is convolved, and where.
pub(crate) struct Deformed<'a> {
    pub images: &'a Images,
    pub weight: &'a Weight,
    pub offsets: &'a Images,
    pub mask: Option<&'a Images>,
    pub options: DeformConv2dOptions,
}

/// The gradients of a deformable convolution.
pub(crate) struct Gradients {
    pub images: Buffer,
    /// `[taps, channels, filters]`.
    pub weight: Buffer,
    pub offsets: Buffer,
    pub mask: Option<Buffer>,
}

impl Deformed<'_> {
    /// The shape of the output.
    pub fn output_shape(&self) -> ImagesShape {
        (self.weight.shape).output_shape(self.images.shape, self.options.convolution)
    }

    /// The convolution.
    pub fn forward(&self) -> Buffer {
        let to = self.output_shape();
        let mut output = Buffer::new(to.values());
        let grid = self.grid();
        let panels = &self.weight.all_panels(1)[0];
        let pixels = self.pixels_at_a_time();
        output
            .par_chunks_mut(pixels * to.channels)
            .enumerate()
            .for_each(|(index, output)| {
                let count = output.len() / to.channels;
                let mut rows = Buffer::new(count * self.depth());
                self.gather(&grid, index * pixels, &mut rows);
                multiply(&rows, output, panels);
            });
        output
    }

    /// The gradients, from that by the output.
    pub fn gradients(&self, output_gradient: &Images) -> Gradients {
        let to = self.output_shape();
        let mut images = Buffer::zeros(self.images.shape.values());
        let mut offsets = Buffer::new(self.offsets.shape.values());
        let mut mask = self.mask.map(|mask| Buffer::new(mask.shape.values()));
        let grid = self.grid();
        let targets = Targets {
            images: Target::new(&mut images),
            offsets: Target::new(&mut offsets),
            mask: mask.as_mut().map(|mask| Target::new(mask)),
        };
        let by_filter = self.panels_by_filter();
        let weight = in_shares(to.n, self.weight.shape.values(), |images, sum| {
            let mut of_rows = Buffer::new(self.pixels_at_a_time() * self.depth());
            let mut rows = Buffer::new(of_rows.len());
            let past = images.end * to.pixels();
            for first in (images.start * to.pixels()..past).step_by(self.pixels_at_a_time()) {
                let count = self.pixels_at_a_time().min(past - first);
                let gradient = first * to.channels..(first + count) * to.channels;
                let gradient = &output_gradient.values()[gradient];
                let (of_rows, rows) = (
                    &mut of_rows[..count * self.depth()],
                    &mut rows[..count * self.depth()],
                );
                multiply(gradient, of_rows, &by_filter);
                self.gather(&grid, first, rows);
                add_outer_products(rows, self.depth(), gradient, to.channels, sum);
                // SAFETY: no other share has these images.
                unsafe { self.scatter(&grid, first, of_rows, targets) };
            }
        });
        Gradients {
            images,
            weight,
            offsets,
            mask,
        }
    }

    fn grid(&self) -> Sweep {
        Sweep::forward(
            self.weight.shape,
            self.output_shape(),
            self.options.convolution,
        )
    }

    /// Values of a pixel's row: all channels of each tap.
    fn depth(&self) -> usize {
        self.weight.shape.taps() * self.images.shape.channels
    }

    fn pixels_at_a_time(&self) -> usize {
        (BLOCK / self.depth().max(1)).max(1)
    }

    /// The matrix from the filters to the channels of each tap.
    fn panels_by_filter(&self) -> Panels {
        let shape = self.weight.shape;
        let (taps, values) = (shape.taps(), self.weight.values());
        Panels::of_planes(1, shape.filters, self.depth(), |filter, columns, to, _| {
            for (column, value) in columns.zip(to) {
                let (tap, channel) = (column / shape.channels, column % shape.channels);
                *value = values[(filter * shape.channels + channel) * taps + tap];
            }
        })
    }

    /// Writes the rows of output pixels from `first` on.
    fn gather(&self, grid: &Sweep, first: usize, rows: &mut [f32]) {
        let zeros = Buffer::zeros(self.group_channels());
        for (number, row) in rows.chunks_exact_mut(self.depth()).enumerate() {
            self.for_each_sample(grid, first + number, |place, sample| {
                let to = &mut row[place.row..place.row + zeros.len()];
                let [a, b, c, d] = self.corners(&sample, &zeros);
                let [fa, fb, fc, fd] = sample.factors().map(|factor| factor * sample.mask);
                vectorized(
                    #[inline(always)]
                    || {
                        let corners = a.iter().zip(b).zip(c).zip(d);
                        for (to, (((a, b), c), d)) in to.iter_mut().zip(corners) {
                            *to = fa * a + fb * b + fc * c + fd * d;
                        }
                    },
                );
            });
        }
    }

    /// Adds what the gradients by the rows of output pixels from `first` on give to the images', and
    /// writes those of the pixels' offsets and masks.
    ///
    /// # Safety
    ///
    /// No other thread uses the targets of these pixels' images.
    unsafe fn scatter(&self, grid: &Sweep, first: usize, of_rows: &[f32], targets: Targets<'_>) {
        let channels = self.group_channels();
        let zeros = Buffer::zeros(channels);
        let mut nowhere = Buffer::new(channels);
        for (number, row) in of_rows.chunks_exact(self.depth()).enumerate() {
            self.for_each_sample(grid, first + number, |place, sample| {
                let gradient = &row[place.row..place.row + channels];
                let corners = self.corners(&sample, &zeros);
                let mut products = [0.0; 4];
                vectorized(
                    #[inline(always)]
                    || {
                        for (product, corner) in products.iter_mut().zip(corners) {
                            *product = dot(gradient, corner);
                        }
                    },
                );
                let factors = sample.factors();
                for (corner, factor) in sample.corners.into_iter().zip(factors) {
                    let to = match corner {
                        // SAFETY: the channels of a pixel of an image that is this thread's.
                        Some(start) => unsafe {
                            std::slice::from_raw_parts_mut(
                                targets.images.at(start, channels),
                                channels,
                            )
                        },
                        None => &mut nowhere[..],
                    };
                    let factor = factor * sample.mask;
                    vectorized(
                        #[inline(always)]
                        || {
                            for (to, gradient) in to.iter_mut().zip(gradient) {
                                *to += factor * gradient;
                            }
                        },
                    );
                }
                let slopes = sample.slopes(products).map(|slope| slope * sample.mask);
                let value: f32 = products.iter().zip(factors).map(|(p, f)| p * f).sum();
                // SAFETY: two offsets and a mask of a pixel that is this thread's.
                unsafe {
                    let to = targets.offsets.at(place.offset, 2);
                    *to = slopes[0];
                    *to.add(1) = slopes[1];
                    if let Some(mask) = targets.mask {
                        *mask.at(place.offset / 2, 1) = value;
                    }
                }
            });
        }
    }

    fn group_channels(&self) -> usize {
        self.images.shape.channels / self.options.offset_groups
    }

    /// The channels of a sample at its four corners.
    fn corners<'a>(&'a self, sample: &Sample, zeros: &'a [f32]) -> [&'a [f32]; 4] {
        let values = self.images.values();
        (sample.corners)
            .map(|corner| corner.map_or(zeros, |start| &values[start..start + zeros.len()]))
    }

    /// Calls `work` with each tap and offset group of an output pixel.
    #[inline(always)]
    fn for_each_sample(&self, grid: &Sweep, pixel: usize, mut work: impl FnMut(Place, Sample)) {
        let (image, target) = grid.place(pixel);
        let (taps, groups) = (grid.taps.len(), self.options.offset_groups);
        for group in 0..groups {
            for (number, tap) in grid.taps.iter().enumerate() {
                let place = Place {
                    row: number * self.images.shape.channels + group * self.group_channels(),
                    offset: 2 * ((pixel * groups + group) * taps + number),
                };
                let moved = [0, 1].map(|axis| self.offsets.values()[place.offset + axis]);
                let mask = self
                    .mask
                    .map_or(1.0, |mask| mask.values()[place.offset / 2]);
                let channel = group * self.group_channels();
                let at = at(grid, target, *tap, moved);
                work(
                    place,
                    Sample::new(self.images.shape, image, channel, at, mask),
                );
            }
        }
    }
}

/// Where a tap of an output pixel reads, once it is moved.
fn at(grid: &Sweep, target: [usize; 2], tap: Tap, moved: [f32; 2]) -> [f32; 2] {
    [0, 1].map(|axis| {
        let still = (target[axis] * grid.step[axis]) as isize + tap.offset[axis];
        still as f32 + moved[axis]
    })
}

/// Where the values of a tap and offset group lie.
struct Place {
    /// In the row of their output pixel.
    row: usize,
    /// The two offsets; half of it is the mask's.
    offset: usize,
}

#[derive(Clone, Copy)]
struct Targets<'a> {
    images: Target<'a>,
    offsets: Target<'a>,
    mask: Option<Target<'a>>,
}

/// A place between four pixels.
struct Sample {
    /// The first of their values: top left, top right, bottom left, bottom right; none outside of the
    /// image.
    corners: [Option<usize>; 4],
    /// How far from the top and from the left, of a pixel.
    fraction: [f32; 2],
    mask: f32,
}

impl Sample {
    fn new(shape: ImagesShape, image: usize, channel: usize, at: [f32; 2], mask: f32) -> Self {
        let [top, left] = at.map(f32::floor);
        let corner = |y: f32, x: f32| {
            let is_inside =
                y >= 0.0 && x >= 0.0 && y < shape.height as f32 && x < shape.width as f32;
            is_inside.then(|| {
                let pixel = (image * shape.height + y as usize) * shape.width + x as usize;
                pixel * shape.channels + channel
            })
        };
        Self {
            corners: [
                corner(top, left),
                corner(top, left + 1.0),
                corner(top + 1.0, left),
                corner(top + 1.0, left + 1.0),
            ],
            fraction: [at[0] - top, at[1] - left],
            mask,
        }
    }

    /// How much of each corner.
    fn factors(&self) -> [f32; 4] {
        let [down, right] = self.fraction;
        let [up, left] = [1.0 - down, 1.0 - right];
        [up * left, up * right, down * left, down * right]
    }

    /// How fast the value grows downwards and to the right, where the corners are `[a, b, c, d]`.
    fn slopes(&self, [a, b, c, d]: [f32; 4]) -> [f32; 2] {
        let [down, right] = self.fraction;
        [
            (1.0 - right) * (c - a) + right * (d - b),
            (1.0 - down) * (b - a) + down * (d - c),
        ]
    }
}

/// Partial sums of a dot product, as many as two vectors have values.
const PARTS: usize = 16;

#[inline(always)]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut parts = [0.0; PARTS];
    let (left, left_rest) = left.as_chunks::<PARTS>();
    let (right, right_rest) = right.as_chunks::<PARTS>();
    for (left, right) in left.iter().zip(right) {
        for ((part, left), right) in parts.iter_mut().zip(left).zip(right) {
            *part += left * right;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum();
    parts.iter().sum::<f32>() + rest
}
