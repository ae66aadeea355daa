//! Functions of each value alone, and their gradients.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::Images;
use crate::Activation;

/// Values that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// An activation that is inlined into the loop that it is used in.
pub(crate) trait Activate {
    /// Of one value; what is not a number stays so.
    fn of(value: f32) -> f32;
}

pub(crate) struct Identity;
pub(crate) struct Relu;
pub(crate) struct Silu;
pub(crate) struct Gelu;

impl Activate for Identity {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value
    }
}

impl Activate for Relu {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        if value < 0.0 { 0.0 } else { value }
    }
}

impl Activate for Silu {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value * sigmoid(value)
    }
}

impl Activate for Gelu {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value * normal(value).distribution
    }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The slope of `x · sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu_slope(x: f32) -> f32 {
    let sigmoid = sigmoid(x);
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

/// The slope of `x · Φ(x)`.
#[inline(always)]
pub(crate) fn gelu_slope(x: f32) -> f32 {
    let normal = normal(x);
    normal.distribution + x * normal.density
}

/// The normal distribution at a place.
struct Normal {
    /// Φ, within 2e-7.
    distribution: f32,
    /// Its slope.
    density: f32,
}

/// The complement of the error function is a polynomial times an exponential, which the density has, too (Abramowitz and
/// Stegun 1964, formula 7.1.26): no operation that vectors do not have.
#[inline(always)]
fn normal(x: f32) -> Normal {
    const P: f32 = 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2;
    const POLYNOMIAL: [f32; 5] = [
        1.061_405_43,
        -1.453_152_03,
        1.421_413_74,
        -0.284_496_74,
        0.254_829_59,
    ];
    const INVERSE_ROOT_2_PI: f32 = 0.398_942_28;
    let distance = x.abs();
    let bell = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + P * distance);
    let mut polynomial = POLYNOMIAL[0];
    for coefficient in &POLYNOMIAL[1..] {
        polynomial = polynomial * t + coefficient;
    }
    let beyond = 0.5 * polynomial * t * bell;
    Normal {
        distribution: if x < 0.0 { beyond } else { 1.0 - beyond },
        density: INVERSE_ROOT_2_PI * bell,
    }
}

/// `exp(x)` within two units of the last place, in operations that vectors have; as of ±87 beyond that.
///
/// With `x = n ln 2 + r`, it is 2^n times a polynomial of r (Moshier's Cephes, `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LIMIT: f32 = 87.0;
    /// The next number to which a float of this size rounds is an integer.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, of which products with small integers are exact.
    const LN_2: [f32; 2] = [0.693_359_375, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_15e-4,
        1.398_199_950_7e-3,
        8.333_451_907_3e-3,
        4.166_579_589_4e-2,
        1.666_666_545_9e-1,
        5.000_000_120_1e-1,
    ];
    let x = if x > LIMIT { LIMIT } else { x };
    let x = if x < -LIMIT { -LIMIT } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let mut polynomial = POLYNOMIAL[0];
    for coefficient in &POLYNOMIAL[1..] {
        polynomial = polynomial * r + coefficient;
    }
    // The lowest bits of `rounded` are n, and those of a power of two its biased exponent.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    (polynomial * r * r + r + 1.0) * power
}

/// The activation of each value.
pub(crate) fn forward(images: &Images, activation: Activation) -> Buffer {
    match activation {
        Activation::Identity => map::<Identity>(images),
        Activation::Relu => map::<Relu>(images),
        Activation::Silu => map::<Silu>(images),
        Activation::Gelu => map::<Gelu>(images),
    }
}

fn map<A: Activate>(images: &Images) -> Buffer {
    let mut output = Buffer::new(images.shape.values());
    output
        .par_chunks_mut(BLOCK)
        .zip(images.values().par_chunks(BLOCK))
        .for_each(|(output, input)| {
            vectorized(
                #[inline(always)]
                || {
                    for (output, input) in output.iter_mut().zip(input) {
                        *output = A::of(*input);
                    }
                },
            );
        });
    output
}

/// The gradient behind a rectifier with this output.
pub(crate) fn behind_rectifier(output_gradient: &Images, output: &Images) -> Buffer {
    let mut gradient = Buffer::new(output.shape.values());
    gradient
        .par_chunks_mut(BLOCK)
        .zip(output_gradient.values().par_chunks(BLOCK))
        .zip(output.values().par_chunks(BLOCK))
        .for_each(|((to, gradient), output)| {
            vectorized(
                #[inline(always)]
                || mask(to, gradient, output),
            );
        });
    gradient
}

/// The gradient by the input of a Silu.
pub(crate) fn behind_silu(output_gradient: &Images, input: &Images) -> Buffer {
    behind(output_gradient, input, silu_slope)
}

/// The gradient by the input of a Gelu.
pub(crate) fn behind_gelu(output_gradient: &Images, input: &Images) -> Buffer {
    behind(output_gradient, input, gelu_slope)
}

/// The gradient by the input of what has such a slope there.
#[inline(always)]
fn behind(
    output_gradient: &Images,
    input: &Images,
    slope: impl Fn(f32) -> f32 + Copy + Sync,
) -> Buffer {
    let mut gradient = Buffer::new(input.shape.values());
    gradient
        .par_chunks_mut(BLOCK)
        .zip(output_gradient.values().par_chunks(BLOCK))
        .zip(input.values().par_chunks(BLOCK))
        .for_each(|((to, gradient), input)| {
            vectorized(
                #[inline(always)]
                || {
                    for ((to, gradient), input) in to.iter_mut().zip(gradient).zip(input) {
                        *to = gradient * slope(*input);
                    }
                },
            );
        });
    gradient
}

/// Whether a rectifier with this output passes gradients: also where it is not a number.
#[inline(always)]
pub(crate) fn passed(gradient: f32, output: f32) -> f32 {
    if output <= 0.0 { 0.0 } else { gradient }
}

#[inline(always)]
pub(crate) fn mask(to: &mut [f32], gradient: &[f32], output: &[f32]) {
    for ((to, gradient), output) in to.iter_mut().zip(gradient).zip(output) {
        *to = passed(*gradient, *output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_within_two_units_of_the_last_place() {
        for step in -8700..=8700i16 {
            let x = f32::from(step) / 100.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}): {error:e}");
        }
    }

    #[test]
    fn what_is_no_number_stays_so_and_what_is_infinite_has_its_limit() {
        assert!(Relu::of(f32::NAN).is_nan() && Silu::of(f32::NAN).is_nan());
        assert!(Gelu::of(f32::NAN).is_nan() && gelu_slope(f32::NAN).is_nan());
        assert_eq!(Gelu::of(f32::INFINITY), f32::INFINITY);
        assert!(gelu_slope(40.0) == 1.0 && gelu_slope(-40.0).abs() < 1e-30);
        assert_eq!(Silu::of(f32::INFINITY), f32::INFINITY);
        assert_eq!(sigmoid(200.0), 1.0);
        assert!(sigmoid(-200.0) < 1e-37);
    }
}
