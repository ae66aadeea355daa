//! Where in an image lies what is wanted of it.

use super::resize::Interpolation;
use crate::{Part, Size};

/// A rectangle of an image, whose edges may lie within pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(super) rows: Span,
    pub(super) columns: Span,
}

impl Window {
    /// A part; what lies outside of it is not looked at.
    pub fn of(part: Part) -> Self {
        Self {
            rows: Span::of(part.top, part.height),
            columns: Span::of(part.left, part.width),
        }
    }

    /// What becomes a part of the image when that is scaled from `size` to `to`.
    pub fn within(size: Size, to: Size, part: Part, interpolation: Interpolation) -> Self {
        let radius = interpolation.radius();
        Self {
            rows: Span::within(size.height, to.height, part.top, part.height, radius),
            columns: Span::within(size.width, to.width, part.left, part.width, radius),
        }
    }

    /// The pixels that are looked at.
    pub fn pixels(&self) -> Part {
        Part {
            top: self.rows.first,
            left: self.columns.first,
            height: self.rows.count,
            width: self.columns.count,
        }
    }

    /// Its height and width.
    pub fn sides(&self) -> [f64; 2] {
        [self.rows.length, self.columns.length]
    }

    /// The same window, where its pixels lie elsewhere: in an image from which others were cut off.
    pub fn moved(mut self, pixels: Part) -> Self {
        self.rows.first = pixels.top;
        self.columns.first = pixels.left;
        self
    }

    /// Where it is in the image whose sides are divided by `by`, a power of two.
    pub fn shrunk(self, by: usize) -> Self {
        Self {
            rows: self.rows.shrunk(by),
            columns: self.columns.shrunk(by),
        }
    }
}

/// One side of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    /// The first pixel that is looked at.
    first: usize,
    /// How many are.
    count: usize,
    /// Where the window begins, from the edge of the first pixel.
    pub(super) start: f64,
    pub(super) length: f64,
}

impl Span {
    fn of(first: usize, count: usize) -> Self {
        Self {
            first,
            count,
            start: 0.0,
            length: count as f64,
        }
    }

    fn within(size: usize, to: usize, start: usize, length: usize, radius: f64) -> Self {
        let scale = size as f64 / to as f64;
        let [start, end] = [start, start + length].map(|place| place as f64 * scale);
        // A pixel more is looked at, for what is rounded.
        let around = radius * scale.max(1.0) + 1.0;
        let first = (start - around).floor().max(0.0);
        let last = (end + around).ceil().min(size as f64);
        Self {
            first: first as usize,
            count: (last - first) as usize,
            start: start - first,
            length: (end - start).min(last - start),
        }
    }

    fn shrunk(self, by: usize) -> Self {
        let first = self.first / by;
        let count = (self.first + self.count).div_ceil(by) - first;
        let start = (self.first as f64 + self.start) / by as f64 - first as f64;
        Self {
            first,
            count,
            start,
            length: (self.length / by as f64).min(count as f64 - start),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Scaling a window that does not is a panic.
        #[test]
        fn a_window_lies_in_its_pixels(
            (size, to) in (1_usize..6000, 1_usize..600),
            (start, length) in (0.0..1.0, 0.0..=1.0),
            (radius, by) in (1..=2, 0..=3),
        ) {
            let start = (start * to as f64) as usize;
            let length = ((length * (to - start) as f64) as usize).max(1);
            let span = Span::within(size, to, start, length, f64::from(radius));
            for span in [span, span.shrunk(1_usize << by)] {
                prop_assert!(span.start >= 0.0 && span.length > 0.0, "{span:?}");
                prop_assert!(span.start + span.length <= span.count as f64, "{span:?}");
            }
            prop_assert!(span.first + span.count <= size);
        }
    }
}
