//! Batch normalisation in two passes over memory each way, with what follows it.
//!
//! Loops go over rows of whole pixels, which the compiler turns into vectors. Sums are made of blocks
//! of pixels, the same whatever the number of threads, in f32 within a block and in f64 between them.

use rayon::prelude::*;

use super::activation::{
    Activate, Gelu, Identity, Relu, Silu, gelu_slope, mask, passed, silu_slope,
};
use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::Images;
use crate::{Activation, SharedBatch};

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

impl Statistics {
    /// Those of all of a batch, from those of this process's share of it.
    pub fn over(self, shared: Option<&SharedBatch>) -> Self {
        let Some(batch) = shared else { return self };
        let widened = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        let narrowed = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let whole = batch.statistics(&[self.mean, self.variance].map(widened));
        let [mean, variance] = whole.map(narrowed);
        Self { mean, variance }
    }
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

    /// `scale · images + shift + residual`, the residual where there is one, activated.
    pub fn apply(
        &self,
        images: &Images,
        residual: Option<&Images>,
        activation: Activation,
    ) -> Buffer {
        match activation {
            Activation::Identity => self.apply_with::<Identity>(images, residual),
            Activation::Relu => self.apply_with::<Relu>(images, residual),
            Activation::Silu => self.apply_with::<Silu>(images, residual),
            Activation::Gelu => self.apply_with::<Gelu>(images, residual),
        }
    }

    fn apply_with<A: Activate>(&self, images: &Images, residual: Option<&Images>) -> Buffer {
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
                        self::apply::<A>(output, input, residual, &scales, &shifts);
                    },
                );
            });
        output
    }
}

#[inline(always)]
fn apply<A: Activate>(
    output: &mut [f32],
    input: &[f32],
    residual: Option<&[f32]>,
    scales: &[f32],
    shifts: &[f32],
) {
    let row = scales.len();
    match residual {
        None => {
            for (output, input) in output.chunks_mut(row).zip(input.chunks(row)) {
                for (((output, input), scale), shift) in
                    output.iter_mut().zip(input).zip(scales).zip(shifts)
                {
                    *output = A::of(input * scale + shift);
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
                    *output = A::of(input * scale + shift + residual);
                }
            }
        }
    }
}

/// Not a number where the variance is infinite: a scale of zero would hide that values have grown
/// beyond all bounds.
fn inverse_deviation(variance: f32, epsilon: f64) -> f32 {
    if variance.is_infinite() {
        return f32::NAN;
    }
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
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

/// What the sum went through, with what its gradient needs to know.
pub(crate) enum Activated<'a> {
    Identity,
    /// The rectified output.
    Relu(&'a Images),
    Silu,
    Gelu,
}

/// What a normalisation was, for its gradients.
pub(crate) struct Normalized<'a> {
    pub images: &'a Images,
    pub statistics: &'a Statistics,
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub epsilon: f64,
    pub activated: Activated<'a>,
    /// Whether something was added; not before [`Activated::Silu`] and [`Activated::Gelu`].
    pub has_residual: bool,
    /// The batch, where other processes have images of it, too.
    pub shared: Option<&'a SharedBatch>,
}

impl Normalized<'_> {
    /// The gradients, from that by the output.
    pub fn gradients(&self, output_gradient: &Images) -> Gradients {
        match &self.activated {
            // The gradient stands for the output, which is not looked at.
            Activated::Identity => {
                self.gradients_behind::<Identity>(output_gradient, output_gradient)
            }
            Activated::Relu(output) => self.gradients_behind::<Relu>(output_gradient, output),
            Activated::Silu => self.gradients_behind::<Silu>(output_gradient, output_gradient),
            Activated::Gelu => self.gradients_behind::<Gelu>(output_gradient, output_gradient),
        }
    }

    fn gradients_behind<A: Behind>(&self, output_gradient: &Images, output: &Images) -> Gradients {
        let channels = self.images.shape.channels;
        let (images, gradient) = (self.images.values(), output_gradient.values());
        let output = output.values();
        let affine = Affine::new(self.statistics, self.weight, self.bias, self.epsilon);
        let rows = Rows {
            means: row_of(&self.statistics.mean),
            scales: row_of(&affine.scale),
            shifts: row_of(&affine.shift),
        };
        let own = sums(
            channels,
            images.len(),
            #[inline(always)]
            |range, sums, products| {
                let gradient = &gradient[range.clone()];
                let output = &output[range.clone()];
                rows.add_gradients::<A>(&images[range], gradient, output, sums, products);
            },
        );
        let (n, [sums, products]) = match self.shared {
            Some(batch) => (batch.whole(), &batch.sums(&own)),
            None => (self.images.shape.n, &own),
        };
        let count = (n * self.images.shape.pixels()) as f64;
        let mut factors: [Vec<f32>; 3] = std::array::from_fn(|_| Vec::with_capacity(channels));
        let mut weight = Vec::with_capacity(channels);
        for channel in 0..channels {
            let inverse = f64::from(inverse_deviation(
                self.statistics.variance[channel],
                self.epsilon,
            ));
            let scale = f64::from(self.weight[channel]) * inverse;
            weight.push((own[1][channel] * inverse) as f32);
            factors[0].push(scale as f32);
            factors[1].push((-scale * inverse * inverse * products[channel] / count) as f32);
            factors[2].push((-scale * sums[channel] / count) as f32);
        }
        let factors = factors.map(|factors| row_of(&factors));
        let (of_images, residual) = self.pixels_gradients::<A>(gradient, output, &rows, &factors);
        Gradients {
            images: of_images,
            weight,
            bias: own[0].iter().map(|sum| *sum as f32).collect(),
            residual,
        }
    }

    /// `factors[0] · gradient + factors[1] · (images - mean) + factors[2]`, and the gradient itself
    /// behind the activation.
    fn pixels_gradients<A: Behind>(
        &self,
        gradient: &[f32],
        output: &[f32],
        rows: &Rows,
        factors: &[Vec<f32>; 3],
    ) -> (Buffer, Option<Buffer>) {
        let count = self.images.shape.values();
        let block = block(self.images.shape.channels);
        let mut images = Buffer::new(count);
        let differs = self.has_residual && !matches!(self.activated, Activated::Identity);
        let mut residual = differs.then(|| Buffer::new(count));
        let from = self.images.values();
        match &mut residual {
            Some(residual) => images
                .par_chunks_mut(block)
                .zip(residual.par_chunks_mut(block))
                .enumerate()
                .for_each(|(index, (to, residual))| {
                    let range = index * block..index * block + to.len();
                    vectorized(
                        #[inline(always)]
                        || {
                            mask(residual, &gradient[range.clone()], &output[range.clone()]);
                            let from = &from[range.clone()];
                            rows.write::<Identity>(to, from, residual, residual, factors);
                        },
                    );
                }),
            None => images
                .par_chunks_mut(block)
                .enumerate()
                .for_each(|(index, to)| {
                    let range = index * block..index * block + to.len();
                    vectorized(
                        #[inline(always)]
                        || {
                            let gradient = &gradient[range.clone()];
                            let output = &output[range.clone()];
                            rows.write::<A>(to, &from[range.clone()], gradient, output, factors);
                        },
                    );
                }),
        }
        (images, residual)
    }
}

/// An activation whose gradient is inlined into the loop that it is used in.
trait Behind {
    /// The gradient by the activation's input, from those by its output, its output and its input.
    fn pass(gradient: f32, output: f32, input: f32) -> f32;
}

impl Behind for Identity {
    #[inline(always)]
    fn pass(gradient: f32, _: f32, _: f32) -> f32 {
        gradient
    }
}

impl Behind for Relu {
    #[inline(always)]
    fn pass(gradient: f32, output: f32, _: f32) -> f32 {
        passed(gradient, output)
    }
}

impl Behind for Silu {
    #[inline(always)]
    fn pass(gradient: f32, _: f32, input: f32) -> f32 {
        gradient * silu_slope(input)
    }
}

impl Behind for Gelu {
    #[inline(always)]
    fn pass(gradient: f32, _: f32, input: f32) -> f32 {
        gradient * gelu_slope(input)
    }
}

/// A value each for the channels of a row's pixels.
struct Rows {
    means: Vec<f32>,
    scales: Vec<f32>,
    shifts: Vec<f32>,
}

impl Rows {
    /// Adds the gradients behind the activation, and their products with the values' distances from
    /// the mean.
    #[inline(always)]
    fn add_gradients<A: Behind>(
        &self,
        images: &[f32],
        gradient: &[f32],
        output: &[f32],
        sums: &mut [f32],
        products: &mut [f32],
    ) {
        let row = self.means.len();
        let rows = images
            .chunks(row)
            .zip(gradient.chunks(row))
            .zip(output.chunks(row));
        for ((images, gradient), output) in rows {
            let affine = self.means.iter().zip(&self.scales).zip(&self.shifts);
            let sums = sums.iter_mut().zip(&mut *products);
            for ((((value, gradient), output), ((mean, scale), shift)), (sum, product)) in images
                .iter()
                .zip(gradient)
                .zip(output)
                .zip(affine)
                .zip(sums)
            {
                let gradient = A::pass(*gradient, *output, value * scale + shift);
                *sum += gradient;
                *product += gradient * (value - mean);
            }
        }
    }

    #[inline(always)]
    fn write<A: Behind>(
        &self,
        to: &mut [f32],
        images: &[f32],
        gradient: &[f32],
        output: &[f32],
        [a, b, c]: &[Vec<f32>; 3],
    ) {
        let row = self.means.len();
        let rows = to
            .chunks_mut(row)
            .zip(images.chunks(row))
            .zip(gradient.chunks(row))
            .zip(output.chunks(row));
        for (((to, images), gradient), output) in rows {
            let affine = self.means.iter().zip(&self.scales).zip(&self.shifts);
            let factors = a.iter().zip(b).zip(c).zip(affine);
            for ((((to, value), gradient), output), (((a, b), c), ((mean, scale), shift))) in to
                .iter_mut()
                .zip(images)
                .zip(gradient)
                .zip(output)
                .zip(factors)
            {
                let gradient = A::pass(*gradient, *output, value * scale + shift);
                *to = a * gradient + b * (value - mean) + c;
            }
        }
    }
}
