//! Convolution of few channels: the taps of a pixel are gathered into one row first.
//!
//! With three channels, a product of one tap's values would be over before it began.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};
use super::product::multiply;
use super::weight::{Weight, WeightShape};
use crate::Conv2dOptions;

/// Channels below which rows are gathered.
const FEW: usize = 8;
/// Values that are copied at a time.
const COPY: usize = 8;
/// Values of gathered rows that stay in a near cache.
const BLOCK: usize = 1 << 13;

/// Whether rows should be gathered for this convolution.
pub(crate) fn fits(shape: WeightShape, options: Conv2dOptions) -> bool {
    shape.channels < FEW && shape.taps() > 1 && options.groups == 1
}

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight, options: Conv2dOptions) -> Buffer {
    let to = weight.shape.output_shape(images.shape, options);
    let mut output = Buffer::new(to.values());
    let patches = Patches {
        images: images.values(),
        from: images.shape,
        to,
        kernel: weight.shape.kernel,
        options,
    };
    let panels = &weight.all_panels(1)[0];
    let lines = patches.lines();
    output
        .par_chunks_mut(lines * to.width * to.channels)
        .enumerate()
        .for_each(|(index, output)| {
            let count = output.len() / to.channels;
            let gathered = patches.gather(index * lines, count / to.width);
            multiply(&gathered[..count * patches.depth()], output, panels);
        });
    output
}

/// All taps of each output pixel, side by side.
pub(crate) struct Patches<'a> {
    pub images: &'a [f32],
    pub from: ImagesShape,
    pub to: ImagesShape,
    pub kernel: [usize; 2],
    pub options: Conv2dOptions,
}

impl Patches<'_> {
    /// Values of a pixel's row.
    pub fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.from.channels
    }

    /// Lines of output pixels whose rows stay in a near cache.
    pub fn lines(&self) -> usize {
        (BLOCK / (self.to.width * self.depth()).max(1)).max(1)
    }

    /// The rows of `count` lines of output pixels from `first` on, counted over all images; a few
    /// values more follow.
    pub fn gather(&self, first: usize, count: usize) -> Buffer {
        let depth = self.depth();
        let mut gathered = Buffer::new(count * self.to.width * depth + COPY);
        let mut place = 0;
        for line in first..first + count {
            for x in 0..self.to.width {
                let (image, y) = (line / self.to.height, line % self.to.height);
                for tap in 0..self.kernel[0] {
                    let y = (y * self.options.stride[0] + tap * self.options.dilation[0])
                        .wrapping_sub(self.options.padding[0]);
                    let values = &mut gathered[place..];
                    if y < self.from.height {
                        self.copy_taps((image * self.from.height + y) * self.from.width, x, values);
                    } else {
                        values[..depth / self.kernel[0]].fill(0.0);
                    }
                    place += depth / self.kernel[0];
                }
            }
        }
        gathered
    }

    /// A line of the kernel, on the line of the image that begins at pixel `line`.
    #[inline]
    fn copy_taps(&self, line: usize, x: usize, to: &mut [f32]) {
        let channels = self.from.channels;
        let left = (x * self.options.stride[1]).wrapping_sub(self.options.padding[1]);
        let count = self.kernel[1] * channels;
        let start = line.wrapping_add(left).wrapping_mul(channels);
        let is_inside = left < self.from.width && left + self.kernel[1] <= self.from.width;
        if is_inside
            && self.options.dilation[1] == 1
            && start + count.next_multiple_of(COPY) <= self.images.len()
            && count.next_multiple_of(COPY) <= to.len()
        {
            // Whole vectors: what is too much is overwritten by the next line of taps.
            let from = &self.images[start..];
            for (to, from) in to
                .chunks_exact_mut(COPY)
                .zip(from.chunks_exact(COPY))
                .take(count.div_ceil(COPY))
            {
                to.copy_from_slice(from);
            }
            return;
        }
        for tap in 0..self.kernel[1] {
            let x = left.wrapping_add(tap * self.options.dilation[1]);
            for channel in 0..channels {
                to[tap * channels + channel] = if x < self.from.width {
                    self.images[(line + x) * channels + channel]
                } else {
                    0.0
                };
            }
        }
    }
}
