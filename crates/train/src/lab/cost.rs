//! What runs take.

use std::fmt;

use serde::Serialize;

use crate::progress::grouped;

/// What runs take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Training images, each as often as it was seen.
    pub images: u64,
    /// 10^15 operations, at 6 a multiply-add.
    pub petaflop: f64,
    /// Hours of training.
    pub hours: f64,
}

impl Cost {
    /// Of a run of `images` training images of so many multiply-adds.
    pub fn of(images: u64, multiply_adds: u64, hours: f64) -> Self {
        Self {
            images,
            petaflop: 6.0 * multiply_adds as f64 * images as f64 / 1e15,
            hours,
        }
    }

    /// Of both.
    pub fn plus(self, more: Self) -> Self {
        Self {
            images: self.images + more.images,
            petaflop: self.petaflop + more.petaflop,
            hours: self.hours + more.hours,
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cost: {} images, {:.3} PFLOP, {:.1} hours",
            grouped(self.images),
            self.petaflop,
            self.hours
        )
    }
}
