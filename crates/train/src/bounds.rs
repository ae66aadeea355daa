//! Numbers with bounds, for `#[serde(deserialize_with)]`: a number out of bounds is refused where it stands.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// A whole number, 1 or more.
pub(crate) fn positive<'de, T: TryFrom<i64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Whole {
        least: 1,
        kind: PhantomData,
    })
}

/// A whole number, 1 or more, for a key that may be left out.
pub(crate) fn some_positive<'de, T: TryFrom<i64>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    positive(from).map(Some)
}

/// A number above 0.
pub(crate) fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number above 0", |x| x > 0.0)
}

/// A number above 0, for a key that may be left out.
pub(crate) fn some_above_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    above_zero(deserializer).map(Some)
}

/// A number above 1.
pub(crate) fn above_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number above 1", |x| x > 1.0)
}

/// A number, 0 or more.
pub(crate) fn zero_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number, 0 or more", |x| x >= 0.0)
}

/// A number from 0 up to, but not including, 1, for a key that may be left out.
pub(crate) fn some_below_one<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    below_one(deserializer).map(Some)
}

/// A number from 0 up to, but not including, 1.
pub(crate) fn below_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number from 0 to below 1", |x| {
        (0.0..1.0).contains(&x)
    })
}

/// A number between 0 and 1.
pub(crate) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number between 0 and 1", |x| {
        x > 0.0 && x < 1.0
    })
}

/// A number from 0 to 1.
pub(crate) fn probability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number from 0 to 1", |x| {
        (0.0..=1.0).contains(&x)
    })
}

/// A number from 0 to a half.
pub(crate) fn up_to_half<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    real(deserializer, "a number from 0 to 0.5", |x| {
        (0.0..=0.5).contains(&x)
    })
}

/// Two numbers above 0, up to 1, the larger one last.
pub(crate) fn rising_shares<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 2], D::Error> {
    rising(
        from,
        "two numbers above 0, up to 1, the larger one last",
        |x| 0.0 < x && x <= 1.0,
    )
}

/// Two numbers above 0, the larger one last.
pub(crate) fn rising_above_zero<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 2], D::Error> {
    rising(from, "two numbers above 0, the larger one last", |x| {
        0.0 < x && x.is_finite()
    })
}

/// Two whole numbers, 1 or more, the larger one last.
pub(crate) fn rising_sides<'de, D: Deserializer<'de>>(from: D) -> Result<[usize; 2], D::Error> {
    rising(
        from,
        "two whole numbers, 1 or more, the larger one last",
        |side| side >= 1,
    )
}

fn rising<'de, T, D>(from: D, words: &str, allowed: fn(T) -> bool) -> Result<[T; 2], D::Error>
where
    T: Copy + PartialOrd + Debug + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let pair = Vec::<T>::deserialize(from)?;
    match *pair.as_slice() {
        [low, high] if allowed(low) && allowed(high) && low <= high => Ok([low, high]),
        _ => Err(Error::custom(format!("expected {words}, found {pair:?}"))),
    }
}

fn real<'de, D: Deserializer<'de>>(
    from: D,
    words: &'static str,
    allowed: fn(f64) -> bool,
) -> Result<f64, D::Error> {
    from.deserialize_any(Real { words, allowed })
}

struct Whole<T> {
    least: i64,
    kind: PhantomData<T>,
}

impl<T: TryFrom<i64>> Visitor<'_> for Whole<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number, {} or more", self.least)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        let found = Unexpected::Signed(value);
        match T::try_from(value) {
            Ok(number) if value >= self.least => Ok(number),
            _ => Err(E::invalid_value(found, &self)),
        }
    }
}

struct Real {
    words: &'static str,
    allowed: fn(f64) -> bool,
}

impl Visitor<'_> for Real {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        if (self.allowed)(value as f64) {
            Ok(value as f64)
        } else {
            Err(E::invalid_value(Unexpected::Signed(value), &self))
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        let allowed = value.is_finite() && (self.allowed)(value);
        if allowed {
            Ok(value)
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }
}
