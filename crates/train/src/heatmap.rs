//! What a network sees where: the map of a class in colour over its image.

use image::imageops::interpolate_bilinear;
use image::{ImageBuffer, Luma, Rgb, RgbImage};
use plotters::prelude::{RGBColor, ViridisRGB};

/// Share of the colour; the rest is the image's.
const OPACITY: f32 = 0.6;

/// A value for each place of a network's map, row by row.
pub type Map = ImageBuffer<Luma<f32>, Vec<f32>>;

/// Draws `map` over the grey of `photograph`, from violet where the map is lowest to yellow where it is
/// highest (viridis).
///
/// A place of the map stands for `extent` by `extent` features, which tile the image: its value is drawn
/// in their middle, and between such middles there is a straight line.
pub fn draw(photograph: &RgbImage, map: &Map, extent: usize) -> RgbImage {
    let (lowest, highest) = bounds(map);
    let span = (highest - lowest).max(f32::MIN_POSITIVE);
    let along = |pixel: u32, pixels: u32, places: u32| {
        let features = (places as usize + extent - 1) as f32;
        let feature = (pixel as f32 + 0.5) / pixels as f32 * features;
        (feature - extent as f32 / 2.0).clamp(0.0, (places - 1) as f32)
    };
    let (width, height) = photograph.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let place = (along(x, width, map.width()), along(y, height, map.height()));
        let Luma([value]) =
            interpolate_bilinear(map, place.0, place.1).expect("a place within the map");
        blended(*photograph.get_pixel(x, y), (value - lowest) / span)
    })
}

fn bounds(map: &Map) -> (f32, f32) {
    let extremes = (f32::INFINITY, f32::NEG_INFINITY);
    map.pixels()
        .fold(extremes, |(lowest, highest), Luma([value])| {
            (lowest.min(*value), highest.max(*value))
        })
}

/// The colour of `value`, from 0 to 1, over the grey of a pixel.
fn blended(pixel: Rgb<u8>, value: f32) -> Rgb<u8> {
    let RGBColor(red, green, blue) = ViridisRGB::get_color(value);
    let grey = f32::from(image::Pixel::to_luma(&pixel).0[0]);
    Rgb([red, green, blue]
        .map(|colour| (OPACITY * f32::from(colour) + (1.0 - OPACITY) * grey).round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What viridis begins and ends with, over black.
    const LOWEST: [u8; 3] = [41, 1, 50];
    const HIGHEST: [u8; 3] = [152, 139, 22];

    fn drawn(values: &[f32], extent: usize, pixels: u32) -> Vec<[u8; 3]> {
        let map = Map::from_vec(values.len() as u32, 1, values.to_vec()).expect("a row");
        let drawn = draw(&RgbImage::new(pixels, 1), &map, extent);
        drawn.pixels().map(|pixel| pixel.0).collect()
    }

    #[test]
    fn places_are_drawn_in_the_middle_of_what_they_see() {
        // Three features of four pixels each: their middles are between the second and the third.
        let row = drawn(&[0.0, 0.0, 5.0], 1, 12);
        assert_eq!(row[..6], [LOWEST; 6]);
        assert_eq!(row[10..], [HIGHEST; 2]);
        assert!(row[6..10].windows(2).all(|pair| pair[0][1] < pair[1][1]));
        // Of four features, the first place sees the first three and the second the last three.
        let row = drawn(&[0.0, 5.0], 3, 16);
        assert_eq!(row[..6], [LOWEST; 6]);
        assert_eq!(row[10..], [HIGHEST; 6]);
    }

    #[test]
    fn a_map_of_one_value_is_drawn() {
        assert_eq!(drawn(&[3.0], 6, 2), [LOWEST; 2]);
    }

    #[test]
    fn the_image_shines_through() {
        let map = Map::from_vec(1, 1, vec![0.0]).expect("a row");
        let white = RgbImage::from_pixel(1, 1, Rgb([255; 3]));
        assert_eq!(draw(&white, &map, 1).get_pixel(0, 0).0, [143, 103, 152]);
    }
}
