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
                        *to = gradient * silu_slope(*input);
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
        assert_eq!(Silu::of(f32::INFINITY), f32::INFINITY);
        assert_eq!(sigmoid(200.0), 1.0);
        assert!(sigmoid(-200.0) < 1e-37);
    }
}
