//! Batch normalisation in two passes over memory each way, with what follows it.
//!
//! Loops go over rows of whole pixels, which the compiler turns into vectors. Sums are made of blocks
//! of pixels, the same whatever the number of threads, in f32 within a block and in f64 between them.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::Images;

/// Values of a row, at least: sums of few channels would wait for each other.
const ROW: usize = 128;
/// Values of a block, which stay in a near cache.
const BLOCK: usize = 1 << 14;

/// A value for each channel of one or more pixels, as long as a row.
fn row_of(channels: &[f32]) -> Vec<f32> {
    channels.repeat(pixels_of_row(channels.len()))
}

fn pixels_of_row(channels: usize) -> usize {
    ROW.div_ceil(channels.max(1))
}

/// Values of a block, in whole rows.
fn block(channels: usize) -> usize {
    let row = pixels_of_row(channels) * channels;
    (BLOCK / row).max(1) * row
}

/// The sums of two values a value, over all pixels.
fn sums<'a>(
    channels: usize,
    values: usize,
    add: impl Fn(std::ops::Range<usize>, &mut [f32], &mut [f32]) + Sync + 'a,
) -> [Vec<f64>; 2] {
    let row = pixels_of_row(channels) * channels;
    let starts: Vec<usize> = (0..values).step_by(block(channels)).collect();
    let blocks: Vec<[Vec<f32>; 2]> = starts
        .into_par_iter()
        .map(|start| {
            let mut first = vec![0.0; row];
            let mut second = vec![0.0; row];
            let range = start..(start + block(channels)).min(values);
            vectorized(
                #[inline(always)]
                || add(range.clone(), &mut first, &mut second),
            );
            [first, second]
        })
        .collect();
    let mut sums = [vec![0.0; channels], vec![0.0; channels]];
    for block in &blocks {
        for (sum, row) in sums.iter_mut().zip(block) {
            for pixel in row.chunks_exact(channels) {
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += f64::from(*value);
                }
            }
        }
    }
    sums
}

/// A channel's mean and biased variance each.
pub(crate) struct Statistics {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

/// The statistics of all pixels.
///
/// Values are taken from the mean of some pixels, so that a mean far from zero costs little accuracy.
pub(crate) fn statistics(images: &Images) -> Statistics {
    let channels = images.shape.channels;
    let values = images.values();
    let origin = mean_of_some(values, channels);
    let origins = row_of(&origin);
    let [sums, squares] = sums(
        channels,
        values.len(),
        #[inline(always)]
        |range, sums, squares| {
            for row in values[range].chunks(origins.len()) {
                for (((value, origin), sum), square) in
                    row.iter().zip(&origins).zip(&mut *sums).zip(&mut *squares)
                {
                    let distance = value - origin;
                    *sum += distance;
                    *square += distance * distance;
                }
            }
        },
    );
    let count = (images.shape.n * images.shape.pixels()) as f64;
    let mut statistics = Statistics {
        mean: Vec::with_capacity(channels),
        variance: Vec::with_capacity(channels),
    };
    for (channel, ((sum, square), origin)) in sums.iter().zip(&squares).zip(&origin).enumerate() {
        let distance = sum / count;
        let square = if sum.is_finite() && !square.is_finite() {
            &squares_of(values, channels, channel, *origin)
        } else {
            square
        };
        let variance = square / count - distance * distance;
        statistics.mean.push((f64::from(*origin) + distance) as f32);
        // What rounding makes negative is zero; what is not a number stays so.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        statistics.variance.push(variance as f32);
    }
    statistics
}

/// The mean of at most 16 pixels, of each channel.
fn mean_of_some(values: &[f32], channels: usize) -> Vec<f32> {
    let pixels = values.len() / channels;
    let some = values.chunks_exact(channels).step_by(pixels.div_ceil(16));
    let count = some.len() as f32;
    let mut mean = vec![0.0; channels];
    for pixel in some {
        for (mean, value) in mean.iter_mut().zip(pixel) {
            *mean += value / count;
        }
    }
    mean
}

/// The sum of the squares of a channel, where it is too large for f32.
fn squares_of(values: &[f32], channels: usize, channel: usize, origin: f32) -> f64 {
    let of_channel = values.iter().skip(channel).step_by(channels);
    of_channel
        .map(|value| (f64::from(*value) - f64::from(origin)).powi(2))
        .sum()
}

/// A scale and a shift for each channel.
pub(crate) struct Affine {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

impl Affine {
    /// What normalises by these statistics.
    pub fn new(statistics: &Statistics, weight: &[f32], bias: &[f32], epsilon: f64) -> Self {
        let scale: Vec<f32> = (statistics.variance.iter())
            .zip(weight)
            .map(|(variance, weight)| weight * inverse_deviation(*variance, epsilon))
            .collect();
        let shift = (statistics.mean.iter())
            .zip(&scale)
            .zip(bias)
            .map(|((mean, scale), bias)| bias - mean * scale)
            .collect();
        Self { scale, shift }
    }

    /// `relu(scale · images + shift + residual)`, the residual and the rectifier where wanted.
    pub fn apply(&self, images: &Images, residual: Option<&Images>, rectifies: bool) -> Buffer {
        let mut output = Buffer::new(images.shape.values());
        if output.is_empty() {
            return output;
        }
        let (scales, shifts) = (row_of(&self.scale), row_of(&self.shift));
        let block = block(images.shape.channels);
        output
            .par_chunks_mut(block)
            .enumerate()
            .for_each(|(index, output)| {
                let range = index * block..index * block + output.len();
                let input = &images.values()[range.clone()];
                let residual = residual.map(|residual| &residual.values()[range]);
                vectorized(
                    #[inline(always)]
                    || {
                        self::apply(output, input, residual, &scales, &shifts, rectifies);
                    },
                );
            });
        output
    }
}

#[inline(always)]
fn apply(
    output: &mut [f32],
    input: &[f32],
    residual: Option<&[f32]>,
    scales: &[f32],
    shifts: &[f32],
    rectifies: bool,
) {
    let row = scales.len();
    match residual {
        None => {
            for (output, input) in output.chunks_mut(row).zip(input.chunks(row)) {
                for (((output, input), scale), shift) in
                    output.iter_mut().zip(input).zip(scales).zip(shifts)
                {
                    *output = rectified(input * scale + shift, rectifies);
                }
            }
        }
        Some(residual) => {
            let rows = output
                .chunks_mut(row)
                .zip(input.chunks(row))
                .zip(residual.chunks(row));
            for ((output, input), residual) in rows {
                for ((((output, input), residual), scale), shift) in output
                    .iter_mut()
                    .zip(input)
                    .zip(residual)
                    .zip(scales)
                    .zip(shifts)
                {
                    *output = rectified(input * scale + shift + residual, rectifies);
                }
            }
        }
    }
}

/// What is not a number stays so.
#[inline(always)]
fn rectified(value: f32, rectifies: bool) -> f32 {
    if rectifies && value < 0.0 { 0.0 } else { value }
}

/// Not a number where the variance is infinite: a scale of zero would hide that values have grown
/// beyond all bounds.
fn inverse_deviation(variance: f32, epsilon: f64) -> f32 {
    if variance.is_infinite() {
        return f32::NAN;
    }
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
}

/// The gradient behind a rectifier with this output.
pub(crate) fn behind_rectifier(output_gradient: &Images, rectified: &Images) -> Buffer {
    let block = block(rectified.shape.channels);
    let mut gradient = Buffer::new(rectified.shape.values());
    gradient
        .par_chunks_mut(block)
        .zip(output_gradient.values().par_chunks(block))
        .zip(rectified.values().par_chunks(block))
        .for_each(|((to, gradient), rectified)| {
            vectorized(
                #[inline(always)]
                || mask(to, gradient, rectified),
            );
        });
    gradient
}

/// The sum of each channel over all pixels.
pub(crate) fn channel_sums(images: &Images) -> Vec<f32> {
    let values = images.values();
    let row = row_of(&vec![0.0; images.shape.channels]).len();
    let [sums, _] = sums(
        images.shape.channels,
        values.len(),
        #[inline(always)]
        |range, sums, _| {
            for row in values[range].chunks(row) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// The gradients of a normalisation and what follows it.
pub(crate) struct Gradients {
    pub images: Buffer,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    /// By what was added, where something was and where a rectifier made it differ from the output's.
    pub residual: Option<Buffer>,
}

/// What a normalisation was, for its gradients.
pub(crate) struct Normalized<'a> {
    pub images: &'a Images,
    pub statistics: &'a Statistics,
    pub weight: &'a [f32],
    pub epsilon: f64,
    /// The rectified output, where there was a rectifier.
    pub rectified: Option<&'a Images>,
    /// Whether something was added.
    pub has_residual: bool,
}

impl Normalized<'_> {
    /// The gradients, from that by the output.
    pub fn gradients(&self, output_gradient: &Images) -> Gradients {
        let channels = self.images.shape.channels;
        let (images, gradient) = (self.images.values(), output_gradient.values());
        let rectified = self.rectified.map(Images::values);
        let means = row_of(&self.statistics.mean);
        let [sums, products] = sums(
            channels,
            images.len(),
            #[inline(always)]
            |range, sums, products| {
                let rectified = rectified.map(|values| &values[range.clone()]);
                add_gradients(
                    &images[range.clone()],
                    &gradient[range],
                    rectified,
                    &means,
                    sums,
                    products,
                );
            },
        );
        let count = (self.images.shape.n * self.images.shape.pixels()) as f64;
        let mut factors: [Vec<f32>; 3] = std::array::from_fn(|_| Vec::with_capacity(channels));
        let mut weight = Vec::with_capacity(channels);
        for channel in 0..channels {
            let inverse = f64::from(inverse_deviation(
                self.statistics.variance[channel],
                self.epsilon,
            ));
            let scale = f64::from(self.weight[channel]) * inverse;
            weight.push((products[channel] * inverse) as f32);
            factors[0].push(scale as f32);
            factors[1].push((-scale * inverse * inverse * products[channel] / count) as f32);
            factors[2].push((-scale * sums[channel] / count) as f32);
        }
        let (images, residual) = self.pixels_gradients(output_gradient, &factors);
        Gradients {
            images,
            weight,
            bias: sums.into_iter().map(|sum| sum as f32).collect(),
            residual,
        }
    }

    /// `factors[0] · gradient + factors[1] · (images - mean) + factors[2]`, and the gradient itself
    /// behind the rectifier.
    fn pixels_gradients(
        &self,
        output_gradient: &Images,
        factors: &[Vec<f32>; 3],
    ) -> (Buffer, Option<Buffer>) {
        let count = self.images.shape.values();
        let block = block(self.images.shape.channels);
        let rows = Rows {
            means: row_of(&self.statistics.mean),
            factors: std::array::from_fn(|index| row_of(&factors[index])),
        };
        let mut images = Buffer::new(count);
        let differs = self.has_residual && self.rectified.is_some();
        let mut residual = differs.then(|| Buffer::new(count));
        let inputs = |range: std::ops::Range<usize>| {
            (
                &self.images.values()[range.clone()],
                &output_gradient.values()[range.clone()],
                self.rectified.map(|images| &images.values()[range]),
            )
        };
        match &mut residual {
            Some(residual) => images
                .par_chunks_mut(block)
                .zip(residual.par_chunks_mut(block))
                .enumerate()
                .for_each(|(index, (to, residual))| {
                    let (from, gradient, rectified) =
                        inputs(index * block..index * block + to.len());
                    let rectified = rectified.expect("there is a rectifier");
                    vectorized(
                        #[inline(always)]
                        || {
                            mask(residual, gradient, rectified);
                            rows.write(to, from, residual);
                        },
                    );
                }),
            None => images
                .par_chunks_mut(block)
                .enumerate()
                .for_each(|(index, to)| {
                    let (from, gradient, rectified) =
                        inputs(index * block..index * block + to.len());
                    vectorized(
                        #[inline(always)]
                        || match rectified {
                            Some(rectified) => rows.write_rectified(to, from, gradient, rectified),
                            None => rows.write(to, from, gradient),
                        },
                    );
                }),
        }
        (images, residual)
    }
}

/// Whether a rectifier with this output passes gradients: also where it is not a number.
#[inline(always)]
fn passed(gradient: f32, rectified: f32) -> f32 {
    if rectified <= 0.0 { 0.0 } else { gradient }
}

#[inline(always)]
fn mask(to: &mut [f32], gradient: &[f32], rectified: &[f32]) {
    for ((to, gradient), rectified) in to.iter_mut().zip(gradient).zip(rectified) {
        *to = passed(*gradient, *rectified);
    }
}

#[inline(always)]
fn add_gradients(
    images: &[f32],
    gradient: &[f32],
    rectified: Option<&[f32]>,
    means: &[f32],
    sums: &mut [f32],
    products: &mut [f32],
) {
    let row = means.len();
    match rectified {
        None => {
            for (images, gradient) in images.chunks(row).zip(gradient.chunks(row)) {
                let sums = sums.iter_mut().zip(&mut *products);
                for (((value, gradient), mean), (sum, product)) in
                    images.iter().zip(gradient).zip(means).zip(sums)
                {
                    *sum += gradient;
                    *product += gradient * (value - mean);
                }
            }
        }
        Some(rectified) => {
            let rows = images
                .chunks(row)
                .zip(gradient.chunks(row))
                .zip(rectified.chunks(row));
            for ((images, gradient), rectified) in rows {
                let sums = sums.iter_mut().zip(&mut *products);
                for ((((value, gradient), rectified), mean), (sum, product)) in images
                    .iter()
                    .zip(gradient)
                    .zip(rectified)
                    .zip(means)
                    .zip(sums)
                {
                    let gradient = passed(*gradient, *rectified);
                    *sum += gradient;
                    *product += gradient * (value - mean);
                }
            }
        }
    }
}

/// A value each for the channels of a row's pixels.
struct Rows {
    means: Vec<f32>,
    factors: [Vec<f32>; 3],
}

impl Rows {
    #[inline(always)]
    fn write(&self, to: &mut [f32], images: &[f32], gradient: &[f32]) {
        let row = self.means.len();
        let [a, b, c] = &self.factors;
        let rows = to
            .chunks_mut(row)
            .zip(images.chunks(row))
            .zip(gradient.chunks(row));
        for ((to, images), gradient) in rows {
            let factors = a.iter().zip(b).zip(c).zip(&self.means);
            for (((to, value), gradient), (((a, b), c), mean)) in
                to.iter_mut().zip(images).zip(gradient).zip(factors)
            {
                *to = a * gradient + b * (value - mean) + c;
            }
        }
    }

    #[inline(always)]
    fn write_rectified(&self, to: &mut [f32], images: &[f32], gradient: &[f32], rectified: &[f32]) {
        let row = self.means.len();
        let [a, b, c] = &self.factors;
        let rows = to
            .chunks_mut(row)
            .zip(images.chunks(row))
            .zip(gradient.chunks(row))
            .zip(rectified.chunks(row));
        for (((to, images), gradient), rectified) in rows {
            let factors = a.iter().zip(b).zip(c).zip(&self.means);
            for ((((to, value), gradient), rectified), (((a, b), c), mean)) in to
                .iter_mut()
                .zip(images)
                .zip(gradient)
                .zip(rectified)
                .zip(factors)
            {
                *to = a * passed(*gradient, *rectified) + b * (value - mean) + c;
            }
        }
    }
}
