//! The transforms of Winograd's F(4x4, 3x3), along one axis and along both.
//!
//! Lavin and Gray 2016, arXiv:1509.09308, section 4.3, with the points 0, 1, -1, 2, -2 and infinity:
//! `output = Aᵀ [(G filter Gᵀ) ⊙ (Bᵀ input B)] A`. A gradient passes through the transposed matrices.

#![expect(unsafe_code, reason = "values are read and written where they lie")]

use pulp::Simd;

use super::winograd::{KERNEL, PATCH, TILE};

/// `Bᵀ d`.
#[inline(always)]
fn input_line<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let (two, four, five) = (
        simd.splat_f32s(2.0),
        simd.splat_f32s(4.0),
        simd.splat_f32s(5.0),
    );
    let even = simd.negate_mul_add_e_f32s(four, d[2], d[4]);
    let odd = simd.negate_mul_add_e_f32s(four, d[1], d[3]);
    let difference24 = simd.sub_f32s(d[4], d[2]);
    let twice13 = simd.mul_f32s(two, simd.sub_f32s(d[3], d[1]));
    [
        simd.mul_add_e_f32s(four, d[0], simd.negate_mul_add_e_f32s(five, d[2], d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(difference24, twice13),
        simd.sub_f32s(difference24, twice13),
        simd.mul_add_e_f32s(four, d[1], simd.negate_mul_add_e_f32s(five, d[3], d[5])),
    ]
}

/// `B t`.
#[inline(always)]
fn input_gradient_line<S: Simd>(simd: S, t: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let (two, four, five) = (
        simd.splat_f32s(2.0),
        simd.splat_f32s(4.0),
        simd.splat_f32s(5.0),
    );
    let (sum12, difference12) = (simd.add_f32s(t[1], t[2]), simd.sub_f32s(t[1], t[2]));
    let (sum34, difference34) = (simd.add_f32s(t[3], t[4]), simd.sub_f32s(t[3], t[4]));
    let twice34 = simd.mul_f32s(two, difference34);
    [
        simd.mul_f32s(four, t[0]),
        simd.sub_f32s(
            simd.mul_f32s(four, simd.sub_f32s(t[5], difference12)),
            twice34,
        ),
        simd.negate_mul_add_e_f32s(
            five,
            t[0],
            simd.sub_f32s(simd.neg_f32s(sum34), simd.mul_f32s(four, sum12)),
        ),
        simd.negate_mul_add_e_f32s(five, t[5], simd.add_f32s(difference12, twice34)),
        simd.add_f32s(t[0], simd.add_f32s(sum12, sum34)),
        t[5],
    ]
}

/// `Aᵀ m`.
#[inline(always)]
fn output_line<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; TILE] {
    let (two, four, eight) = (
        simd.splat_f32s(2.0),
        simd.splat_f32s(4.0),
        simd.splat_f32s(8.0),
    );
    let (sum12, difference12) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (sum34, difference34) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(sum12, sum34)),
        simd.mul_add_e_f32s(two, difference34, difference12),
        simd.mul_add_e_f32s(four, sum34, sum12),
        simd.mul_add_e_f32s(eight, difference34, simd.add_f32s(difference12, m[5])),
    ]
}

/// `A y`.
#[inline(always)]
fn output_gradient_line<S: Simd>(simd: S, y: [S::f32s; TILE]) -> [S::f32s; PATCH] {
    let (two, four, eight) = (
        simd.splat_f32s(2.0),
        simd.splat_f32s(4.0),
        simd.splat_f32s(8.0),
    );
    let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
    let even4 = simd.mul_add_e_f32s(four, y[2], y[0]);
    let odd8 = simd.mul_add_e_f32s(eight, y[3], simd.mul_f32s(two, y[1]));
    [
        y[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(even4, odd8),
        simd.sub_f32s(even4, odd8),
        y[3],
    ]
}

/// `G g`.
#[inline(always)]
fn filter_line<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; PATCH] {
    let (sixth, twelfth) = (simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(1.0 / 12.0));
    let (quarter, twenty_fourth) = (simd.splat_f32s(0.25), simd.splat_f32s(1.0 / 24.0));
    let outer = simd.mul_f32s(sixth, simd.add_f32s(g[0], g[2]));
    let inner = simd.mul_f32s(sixth, g[1]);
    let wide = simd.mul_add_e_f32s(twenty_fourth, g[0], simd.mul_f32s(sixth, g[2]));
    let narrow = simd.mul_f32s(twelfth, g[1]);
    [
        simd.mul_f32s(quarter, g[0]),
        simd.neg_f32s(simd.add_f32s(outer, inner)),
        simd.sub_f32s(inner, outer),
        simd.add_f32s(wide, narrow),
        simd.sub_f32s(wide, narrow),
        g[2],
    ]
}

/// `Gᵀ u`.
#[inline(always)]
fn filter_gradient_line<S: Simd>(simd: S, u: [S::f32s; PATCH]) -> [S::f32s; 3] {
    let (sixth, twelfth) = (simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(1.0 / 12.0));
    let (quarter, twenty_fourth) = (simd.splat_f32s(0.25), simd.splat_f32s(1.0 / 24.0));
    let sum12 = simd.mul_f32s(sixth, simd.add_f32s(u[1], u[2]));
    let difference12 = simd.mul_f32s(sixth, simd.sub_f32s(u[2], u[1]));
    let (sum34, difference34) = (simd.add_f32s(u[3], u[4]), simd.sub_f32s(u[3], u[4]));
    [
        simd.mul_add_e_f32s(
            twenty_fourth,
            sum34,
            simd.sub_f32s(simd.mul_f32s(quarter, u[0]), sum12),
        ),
        simd.mul_add_e_f32s(twelfth, difference34, difference12),
        simd.mul_add_e_f32s(sixth, sum34, simd.sub_f32s(u[5], sum12)),
    ]
}

/// A transform along both axes of every channel: `line` of the columns, then of the rows.
///
/// `from` and `to` are the places of an array's values, row by row, each with the channels behind it.
macro_rules! both_axes {
    ($(#[$doc:meta])* $name:ident, $line:ident, $from:expr, $to:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// Each of `from` can be read, and each of `to` written, for `channels` values, which are
        /// whole vectors.
        #[inline(always)]
        pub(crate) unsafe fn $name<S: Simd, const ADDS: bool>(
            simd: S,
            from: &[*const f32; $from * $from],
            to: &[*mut f32; $to * $to],
            channels: usize,
        ) {
            let mut halfway = [[simd.splat_f32s(0.0); $from]; $to];
            for channel in (0..channels).step_by(S::F32_LANES) {
                for x in 0..$from {
                    let mut column = [simd.splat_f32s(0.0); $from];
                    for (y, value) in column.iter_mut().enumerate() {
                        // SAFETY: the caller's promise.
                        *value = unsafe {
                            from[$from * y + x].add(channel).cast::<S::f32s>().read_unaligned()
                        };
                    }
                    let column = $line(simd, column);
                    for y in 0..$to {
                        halfway[y][x] = column[y];
                    }
                }
                for y in 0..$to {
                    let row = $line(simd, halfway[y]);
                    for x in 0..$to {
                        // SAFETY: the caller's promise.
                        unsafe {
                            let to = to[$to * y + x].add(channel).cast::<S::f32s>();
                            let value = if ADDS {
                                simd.add_f32s(to.read_unaligned(), row[x])
                            } else {
                                row[x]
                            };
                            to.write_unaligned(value);
                        }
                    }
                }
            }
        }
    };
}

both_axes!(
    /// An input patch's planes.
    input, input_line, PATCH, PATCH
);
both_axes!(
    /// The gradient by an input patch, from that by its planes.
    input_gradient, input_gradient_line, PATCH, PATCH
);
both_axes!(
    /// An output tile, from its planes.
    output, output_line, PATCH, TILE
);
both_axes!(
    /// The gradient by an output tile's planes, from that by the tile.
    output_gradient, output_gradient_line, TILE, PATCH
);
both_axes!(
    /// A kernel's planes.
    filter, filter_line, KERNEL, PATCH
);
both_axes!(
    /// The gradient by a kernel, from that by its planes.
    filter_gradient, filter_gradient_line, PATCH, KERNEL
);
