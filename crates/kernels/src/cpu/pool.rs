//! Pooling.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::{Images, ImagesShape};
use crate::Pool2dOptions;

/// The mean of each channel, `[n, channels]`.
pub(crate) fn global_average(images: &Images) -> Buffer {
    let shape = images.shape;
    let mut means = Buffer::zeros(shape.n * shape.channels);
    let factor = 1.0 / shape.pixels() as f32;
    if shape.image() == 0 {
        // Of no pixels, there is no mean.
        means.fill(f32::NAN);
        return means;
    }
    means
        .par_chunks_mut(shape.channels)
        .zip(images.values().par_chunks(shape.image()))
        .for_each(|(means, image)| {
            vectorized(
                #[inline(always)]
                || {
                    for pixel in image.chunks_exact(means.len()) {
                        for (mean, value) in means.iter_mut().zip(pixel) {
                            *mean += value;
                        }
                    }
                    for mean in &mut *means {
                        *mean *= factor;
                    }
                },
            );
        });
    means
}

/// The gradient of [`global_average`] by images of this shape.
pub(crate) fn global_average_gradient(output_gradient: &[f32], shape: ImagesShape) -> Buffer {
    let mut gradient = Buffer::new(shape.values());
    let factor = 1.0 / shape.pixels() as f32;
    if shape.image() == 0 {
        return gradient;
    }
    gradient
        .par_chunks_mut(shape.image())
        .zip(output_gradient.par_chunks(shape.channels))
        .for_each(|(image, means)| {
            vectorized(
                #[inline(always)]
                || {
                    for pixel in image.chunks_exact_mut(means.len()) {
                        for (value, mean) in pixel.iter_mut().zip(means) {
                            *value = mean * factor;
                        }
                    }
                },
            );
        });
    gradient
}

/// Windows over images.
#[derive(Clone, Copy)]
struct Windows {
    from: ImagesShape,
    to: ImagesShape,
    options: Pool2dOptions,
}

impl Windows {
    fn new(from: ImagesShape, options: Pool2dOptions) -> Self {
        let [height, width] = options
            .output_size([from.height, from.width])
            .expect("a window fits");
        let to = ImagesShape {
            height,
            width,
            ..from
        };
        Self { from, to, options }
    }

    /// The lines, or columns, of the image that a window has.
    fn inside(&self, window: usize, axis: usize) -> Range<usize> {
        let side = [self.from.height, self.from.width][axis];
        let start = window * self.options.stride[axis];
        let padding = self.options.padding[axis];
        start.saturating_sub(padding)..(start + self.options.kernel[axis] - padding).min(side)
    }

    /// The lines, or columns, that count in a mean.
    fn counted(&self, window: usize, axis: usize, counts_padding: bool) -> usize {
        if !counts_padding {
            return self.inside(window, axis).len();
        }
        let side = [self.from.height, self.from.width][axis];
        let start = window * self.options.stride[axis];
        let past = start + self.options.kernel[axis];
        past.min(side + 2 * self.options.padding[axis]) - start
    }

    /// One over the values of a window's mean.
    fn share(&self, [y, x]: [usize; 2], counts_padding: bool) -> f32 {
        let count = self.counted(y, 0, counts_padding) * self.counted(x, 1, counts_padding);
        1.0 / count as f32
    }

    /// Calls `visit` with the first value of each pixel of a window, in an image.
    #[inline(always)]
    fn for_each_pixel(&self, [y, x]: [usize; 2], mut visit: impl FnMut(usize)) {
        for line in self.inside(y, 0) {
            for column in self.inside(x, 1) {
                visit((line * self.from.width + column) * self.from.channels);
            }
        }
    }

    /// Fills the output, line by line: `fill(image, [y, x], pixel)`.
    fn forward(
        &self,
        images: &Images,
        fill: impl Fn(&[f32], [usize; 2], &mut [f32]) + Sync,
    ) -> Buffer {
        let mut output = Buffer::new(self.to.values());
        let line = self.to.width * self.to.channels;
        if line == 0 {
            return output;
        }
        let size = self.from.image();
        let lines = output.par_chunks_mut(line).enumerate();
        lines.for_each(|(index, pixels)| {
            let (image, y) = (index / self.to.height, index % self.to.height);
            let image = &images.values()[image * size..(image + 1) * size];
            vectorized(
                #[inline(always)]
                || {
                    for (x, pixel) in pixels.chunks_exact_mut(self.to.channels).enumerate() {
                        fill(image, [y, x], pixel);
                    }
                },
            );
        });
        output
    }

    /// Adds to the gradient by each image: `add(image, window, [y, x], gradient)`, where `image` and
    /// `window` are numbers of values.
    fn backward(&self, add: impl Fn(usize, usize, [usize; 2], &mut [f32]) + Sync) -> Buffer {
        let mut gradient = Buffer::new(self.from.values());
        let size = self.from.image();
        if size == 0 {
            return gradient;
        }
        let images = gradient.par_chunks_mut(size).enumerate();
        images.for_each(|(image, gradient)| {
            vectorized(
                #[inline(always)]
                || {
                    gradient.fill(0.0);
                    for y in 0..self.to.height {
                        for x in 0..self.to.width {
                            let window = (image * self.to.height + y) * self.to.width + x;
                            add(image * size, window * self.to.channels, [y, x], gradient);
                        }
                    }
                },
            );
        });
        gradient
    }
}

/// The largest value of each window, and the output's shape.
pub(crate) fn max(images: &Images, options: Pool2dOptions) -> (Buffer, ImagesShape) {
    let windows = Windows::new(images.shape, options);
    let output = windows.forward(
        images,
        #[inline(always)]
        |image, place, pixel| {
            pixel.fill(f32::NEG_INFINITY);
            windows.for_each_pixel(
                place,
                #[inline(always)]
                |start| {
                    for (largest, value) in pixel.iter_mut().zip(&image[start..]) {
                        *largest = if *value > *largest || value.is_nan() {
                            *value
                        } else {
                            *largest
                        };
                    }
                },
            );
        },
    );
    (output, windows.to)
}

/// The gradient of [`max`]: to the first value of a window that is its largest.
pub(crate) fn max_gradient(
    images: &Images,
    output: &Images,
    output_gradient: &Images,
    options: Pool2dOptions,
) -> Buffer {
    let windows = Windows::new(images.shape, options);
    let channels = images.shape.channels;
    windows.backward(
        #[inline(always)]
        |image, window, place, gradient| {
            let largest = &output.values()[window..window + channels];
            let mut left = output_gradient.values()[window..window + channels].to_vec();
            windows.for_each_pixel(
                place,
                #[inline(always)]
                |start| {
                    let values = &images.values()[image + start..][..channels];
                    let pixels = gradient[start..start + channels].iter_mut().zip(values);
                    for (((to, value), largest), left) in pixels.zip(largest).zip(&mut left) {
                        let is_largest = value == largest || value.is_nan();
                        *to += if is_largest { *left } else { 0.0 };
                        *left = if is_largest { 0.0 } else { *left };
                    }
                },
            );
        },
    )
}

/// The mean of each window, and the output's shape.
pub(crate) fn average(
    images: &Images,
    options: Pool2dOptions,
    counts_padding: bool,
) -> (Buffer, ImagesShape) {
    let windows = Windows::new(images.shape, options);
    let output = windows.forward(
        images,
        #[inline(always)]
        |image, place, pixel| {
            pixel.fill(0.0);
            windows.for_each_pixel(
                place,
                #[inline(always)]
                |start| {
                    for (sum, value) in pixel.iter_mut().zip(&image[start..]) {
                        *sum += value;
                    }
                },
            );
            let share = windows.share(place, counts_padding);
            for sum in pixel {
                *sum *= share;
            }
        },
    );
    (output, windows.to)
}

/// The gradient of [`average`] by images of shape `from`.
pub(crate) fn average_gradient(
    output_gradient: &Images,
    from: ImagesShape,
    options: Pool2dOptions,
    counts_padding: bool,
) -> Buffer {
    let windows = Windows::new(from, options);
    windows.backward(
        #[inline(always)]
        |_, window, place, gradient| {
            let share = windows.share(place, counts_padding);
            let of_window = &output_gradient.values()[window..window + from.channels];
            windows.for_each_pixel(
                place,
                #[inline(always)]
                |start| {
                    for (to, value) in gradient[start..].iter_mut().zip(of_window) {
                        *to += value * share;
                    }
                },
            );
        },
    )
}
