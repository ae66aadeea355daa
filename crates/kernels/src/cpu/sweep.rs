//! Output pixels that are all the same sum over taps: a convolution is one sweep over them, and its
//! gradient by the images is one for each remainder by the stride.

use super::layout::ImagesShape;
use super::weight::WeightShape;
use crate::Conv2dOptions;

/// A tap of the kernel, and where it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// Its place in the kernel, row by row.
    pub index: usize,
    /// From the grid's pixel, multiplied by the step, to the source's.
    pub offset: [isize; 2],
}

/// Output pixels that are all the same sum over taps.
pub(crate) struct Sweep {
    /// How many, down and across.
    pub grid: [usize; 2],
    /// Source pixels from one to the next.
    pub step: [usize; 2],
    /// What each sums.
    pub taps: Vec<Tap>,
    /// The first one's place in the output.
    pub start: [usize; 2],
    /// Output pixels from one to the next.
    pub spacing: [usize; 2],
}

impl Sweep {
    /// The pixels of a convolution's output of shape `to`.
    pub fn forward(weight: WeightShape, to: ImagesShape, options: Conv2dOptions) -> Self {
        Self {
            grid: [to.height, to.width],
            step: options.stride,
            taps: weight.every_tap(|tap, axis| {
                (tap * options.dilation[axis]) as isize - options.padding[axis] as isize
            }),
            start: [0, 0],
            spacing: [1, 1],
        }
    }

    /// The pixels of the gradient by images of shape `to`.
    ///
    /// With a stride, input pixels differ in the taps that reach them: those of the same remainder by
    /// the stride have the same ones, and are a sweep.
    pub fn backward(
        weight: WeightShape,
        to: ImagesShape,
        options: Conv2dOptions,
    ) -> impl Iterator<Item = Self> {
        let [vertical, horizontal] = options.stride;
        let starts = (0..vertical).flat_map(move |y| (0..horizontal).map(move |x| [y, x]));
        starts.map(move |start| {
            let along = |side: usize, axis: usize| {
                side.saturating_sub(start[axis])
                    .div_ceil(options.stride[axis])
            };
            Self {
                grid: [along(to.height, 0), along(to.width, 1)],
                step: [1, 1],
                taps: taps_that_reach(start, weight, options),
                start,
                spacing: options.stride,
            }
        })
    }

    /// The image of a pixel of the grid, and its place there.
    pub fn place(&self, pixel: usize) -> (usize, [usize; 2]) {
        let [height, width] = self.grid;
        let (line, x) = (pixel / width, pixel % width);
        (line / height, [line % height, x])
    }

    /// The place in the output of a pixel of the grid.
    pub fn target(&self, [y, x]: [usize; 2]) -> [usize; 2] {
        [
            self.start[0] + y * self.spacing[0],
            self.start[1] + x * self.spacing[1],
        ]
    }
}

/// The taps by which the pixel `start`, and every one a multiple of the stride from it, reaches an
/// output pixel; the offset is to that pixel from the multiple.
fn taps_that_reach(start: [usize; 2], weight: WeightShape, options: Conv2dOptions) -> Vec<Tap> {
    let distance = |place: usize, axis: usize| {
        (start[axis] + options.padding[axis]) as isize - (place * options.dilation[axis]) as isize
    };
    let stride = options.stride.map(|stride| stride as isize);
    let mut taps = weight.every_tap(distance);
    taps.retain(|tap| (0..2).all(|axis| tap.offset[axis] % stride[axis] == 0));
    for tap in &mut taps {
        for (offset, stride) in tap.offset.iter_mut().zip(stride) {
            *offset /= stride;
        }
    }
    taps
}
