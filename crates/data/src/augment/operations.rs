//! Operations on the bytes of an image, as Pillow does them.

use serde::{Deserialize, Serialize};

use crate::{Error, Image, Pixels, Result, Size};

/// What AutoAugment, its successors and colour jitter are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Nothing.
    Identity,
    /// Moves each row right, by so many columns a row.
    ShearX,
    /// Moves each column down, by so many rows a column.
    ShearY,
    /// Moves the image right, by so many columns.
    TranslateX,
    /// Moves the image down, by so many rows.
    TranslateY,
    /// Turns the image about its middle, by so many degrees, against the clock.
    Rotate,
    /// Away from black, by a factor of 1 and so much.
    Brightness,
    /// Away from grey, by a factor of 1 and so much.
    Color,
    /// Away from the mean grey, by a factor of 1 and so much.
    Contrast,
    /// Away from the smoothed image, by a factor of 1 and so much.
    Sharpness,
    /// Round the circle of hues, by so much of it.
    Hue,
    /// Keeps so many of the highest bits.
    Posterize,
    /// Inverts what is as bright as that share of white, or brighter.
    Solarize,
    /// Stretches each channel from black to white.
    AutoContrast,
    /// Makes the values of each channel equally frequent.
    Equalize,
    /// Makes white of black.
    Invert,
}

/// The image after an operation of that magnitude. What comes into the image from outside is black.
///
/// Fails where the image is not of bytes.
pub(super) fn apply(
    transform: &'static str,
    image: Image,
    operation: Operation,
    magnitude: f32,
) -> Result<Image> {
    let size = image.size;
    let Pixels::U8(bytes) = image.pixels else {
        return Err(Error::NeedsBytes { transform });
    };
    let exact = f64::from(magnitude);
    let factor = (1.0 + exact) as f32;
    let bytes = match operation {
        Operation::Identity => bytes,
        Operation::ShearX => affine(&bytes, size, [[1.0, exact, 0.0], [0.0, 1.0, 0.0]]),
        Operation::ShearY => affine(&bytes, size, [[1.0, 0.0, 0.0], [exact, 1.0, 0.0]]),
        Operation::TranslateX => translate(&bytes, size, magnitude as isize, 0),
        Operation::TranslateY => translate(&bytes, size, 0, magnitude as isize),
        Operation::Rotate => affine(&bytes, size, rotation(exact, size)),
        Operation::Brightness => blend(&vec![0; bytes.len()], &bytes, factor),
        Operation::Color => {
            let grey = luma(&bytes, size).repeat(size.channels);
            blend(&grey, &bytes, factor)
        }
        Operation::Contrast => {
            let grey = mean(&luma(&bytes, size));
            blend(&vec![grey; bytes.len()], &bytes, factor)
        }
        Operation::Sharpness => blend(&smooth(&bytes, size), &bytes, factor),
        Operation::Hue => turn_hue(bytes, size, magnitude),
        Operation::Posterize => {
            let mask = u8::MAX << (8 - (magnitude as u32).min(8)).min(7);
            by_value(bytes, |value| value & mask)
        }
        Operation::Solarize => {
            let threshold = 255.0 * magnitude;
            by_value(bytes, |value| match f32::from(value) < threshold {
                true => value,
                false => 255 - value,
            })
        }
        Operation::AutoContrast => by_channel(bytes, size, stretched),
        Operation::Equalize => by_channel(bytes, size, equalized),
        Operation::Invert => by_value(bytes, |value| 255 - value),
    };
    Ok(Image {
        size,
        pixels: Pixels::U8(bytes),
    })
}

fn by_value(mut bytes: Vec<u8>, change: impl Fn(u8) -> u8) -> Vec<u8> {
    bytes.iter_mut().for_each(|byte| *byte = change(*byte));
    bytes
}

/// Each channel by a table that is made of how often each value is in it.
fn by_channel(mut bytes: Vec<u8>, size: Size, table: fn(&[u32; 256]) -> [u8; 256]) -> Vec<u8> {
    for plane in bytes.chunks_exact_mut(size.plane()) {
        let mut counts = [0; 256];
        plane
            .iter()
            .for_each(|byte| counts[usize::from(*byte)] += 1);
        let table = table(&counts);
        plane
            .iter_mut()
            .for_each(|byte| *byte = table[usize::from(*byte)]);
    }
    bytes
}

const UNCHANGED: [u8; 256] = {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        table[value] = value as u8;
        value += 1;
    }
    table
};

/// `ImageOps.autocontrast`.
fn stretched(counts: &[u32; 256]) -> [u8; 256] {
    let present = |count: &u32| *count > 0;
    let low = counts.iter().position(present).unwrap_or(0);
    let high = counts.iter().rposition(present).unwrap_or(0);
    if high <= low {
        return UNCHANGED;
    }
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    UNCHANGED.map(|value| (f64::from(value) * scale + offset) as u8)
}

/// `ImageOps.equalize`.
fn equalized(counts: &[u32; 256]) -> [u8; 256] {
    let last = counts.iter().rev().find(|count| **count > 0);
    let step = (counts.iter().sum::<u32>() - last.unwrap_or(&0)) / 255;
    if step == 0 {
        return UNCHANGED;
    }
    let mut before = step / 2;
    std::array::from_fn(|value| {
        let rank = before / step;
        before += counts[value];
        rank.min(255) as u8
    })
}

/// `Image.blend`: from `from` past or towards `to`.
fn blend(from: &[u8], to: &[u8], factor: f32) -> Vec<u8> {
    let blended = from.iter().zip(to).map(|(from, to)| {
        let (from, to) = (f32::from(*from), f32::from(*to));
        (from + factor * (to - from)) as u8
    });
    blended.collect()
}

/// ITU-R 601 in whole numbers; a grey image as it is.
fn luma(bytes: &[u8], size: Size) -> Vec<u8> {
    let [red, green, blue] = match size.channels {
        3 => [0, 1, 2].map(|channel| &bytes[channel * size.plane()..][..size.plane()]),
        _ => return bytes.to_vec(),
    };
    let weighted = red.iter().zip(green).zip(blue).map(|((red, green), blue)| {
        let [red, green, blue] = [red, green, blue].map(|value| u32::from(*value));
        ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) as u8
    });
    weighted.collect()
}

fn mean(bytes: &[u8]) -> u8 {
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    (sum as f64 / bytes.len() as f64 + 0.5) as u8
}

/// `ImageFilter.SMOOTH`, which leaves the edge as it is.
fn smooth(bytes: &[u8], size: Size) -> Vec<u8> {
    let mut smoothed = bytes.to_vec();
    let (height, width) = (size.height, size.width);
    let planes = bytes.chunks_exact(size.plane());
    for (from, to) in planes.zip(smoothed.chunks_exact_mut(size.plane())) {
        for row in 1..height.saturating_sub(1) {
            for column in 1..width.saturating_sub(1) {
                let at = row * width + column;
                let around: u32 = [at - width, at, at + width]
                    .into_iter()
                    .flat_map(|at| &from[at - 1..=at + 1])
                    .map(|byte| u32::from(*byte))
                    .sum();
                let sum = around + 4 * u32::from(from[at]);
                to[at] = (sum as f32 / 13.0 + 0.5) as u8;
            }
        }
    }
    smoothed
}

/// The image moved by whole pixels.
fn translate(bytes: &[u8], size: Size, right: isize, down: isize) -> Vec<u8> {
    let [left, up] = [right, down].map(|pixels| -(pixels as f64));
    affine(bytes, size, [[1.0, 0.0, left], [0.0, 1.0, up]])
}

/// The matrix of `Image.rotate`.
fn rotation(degrees: f64, size: Size) -> [[f64; 3]; 2] {
    let (sine, cosine) = (-degrees).to_radians().sin_cos();
    let (x, y) = (size.width as f64 / 2.0, size.height as f64 / 2.0);
    [
        [cosine, sine, x - cosine * x - sine * y],
        [-sine, cosine, y + sine * x - cosine * y],
    ]
}

/// `Image.transform` by a matrix, whose rows say from which column and which row a pixel comes: so much a column, so much a
/// row, and so much more. In numbers of 16 bits behind the point, as Pillow has them.
fn affine(bytes: &[u8], size: Size, matrix: [[f64; 3]; 2]) -> Vec<u8> {
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let [from_column, from_row] = matrix.map(|[a_column, a_row, more]| {
        let first = fixed(more + f64::midpoint(a_column, a_row));
        let (a_column, a_row) = (fixed(a_column), fixed(a_row));
        move |row: usize, column: usize, length: usize| {
            let place = first + a_column * column as i64 + a_row * row as i64;
            let place = usize::try_from(place >> 16).ok()?;
            (place < length).then_some(place)
        }
    });
    let mut moved = vec![0; bytes.len()];
    for row in 0..size.height {
        for column in 0..size.width {
            let from = from_row(row, column, size.height).zip(from_column(row, column, size.width));
            let Some((from_row, from_column)) = from else {
                continue;
            };
            for channel in 0..size.channels {
                let plane = channel * size.plane();
                moved[plane + row * size.width + column] =
                    bytes[plane + from_row * size.width + from_column];
            }
        }
    }
    moved
}

/// Through Pillow's HSV, whose values are bytes, and which computes partly in 32 bits and partly in 64; a grey image has no
/// hue.
fn turn_hue(mut bytes: Vec<u8>, size: Size, by: f32) -> Vec<u8> {
    if size.channels != 3 {
        return bytes;
    }
    let turn = (by * 255.0) as i32 as u8;
    let (red, rest) = bytes.split_at_mut(size.plane());
    let (green, blue) = rest.split_at_mut(size.plane());
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let [hue, saturation, value] = hsv([*red, *green, *blue]);
        [*red, *green, *blue] = rgb([hue.wrapping_add(turn), saturation, value]);
    }
    bytes
}

fn hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let most = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [to_red, to_green, to_blue] =
        [red, green, blue].map(|value| f32::from(most - value) / range);
    let sixths = if red == most {
        to_blue - to_green
    } else if green == most {
        2.0 + to_red - to_blue
    } else {
        4.0 + to_green - to_red
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(most);
    let byte = |share: f32| (f64::from(share) * 255.0) as u8;
    [byte(hue), byte(saturation), most]
}

fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sector = sixths.floor();
    let beyond = f64::from((sixths - sector) as f32);
    let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
    let faded = |by: f64| (f64::from(value) * (1.0 - by)).round() as u8;
    let (low, falling, rising) = (
        faded(saturation),
        faded(saturation * beyond),
        faded(saturation * (1.0 - beyond)),
    );
    match sector as u8 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}
