//! Sheets of pictures with captions, as PNG files.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};
use plotters::prelude::*;

use crate::chart::text;

/// Pixels of a picture's longer side.
const SIDE: u32 = 192;
const GAP: u32 = 12;
const CAPTION: u32 = 28;
const COLUMNS: u32 = 6;
/// Letters that have room beside each other.
const LETTERS: usize = 21;

/// A picture and what stands under it.
pub struct Tile {
    /// Of any size.
    pub picture: RgbImage,
    /// Cut off where it is too long.
    pub caption: String,
}

/// The sheet as a PNG file, row by row.
pub fn png(tiles: &[Tile]) -> Vec<u8> {
    let columns = COLUMNS.min(tiles.len() as u32);
    let rows = (tiles.len() as u32).div_ceil(COLUMNS);
    let (across, down) = (SIDE + GAP, SIDE + CAPTION + GAP);
    let (width, height) = (GAP + columns * across, GAP + rows * down);
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let place = |index: usize| {
        let (row, column) = (index as u32 / COLUMNS, index as u32 % COLUMNS);
        (GAP + column * across, GAP + row * down)
    };
    for (index, tile) in tiles.iter().enumerate() {
        let (x, y) = place(index);
        imageops::overlay(&mut sheet, &fitted(&tile.picture), x.into(), y.into());
    }
    let area = BitMapBackend::with_buffer(&mut sheet, (width, height)).into_drawing_area();
    for (index, tile) in tiles.iter().enumerate() {
        let (x, y) = place(index);
        let under = (x as i32, (y + SIDE + 6) as i32);
        area.draw(&Text::new(shortened(&tile.caption), under, text(18)))
            .expect("drawing into memory succeeds");
    }
    area.present().expect("drawing into memory succeeds");
    drop(area);
    let mut png = Cursor::new(Vec::new());
    sheet
        .write_to(&mut png, ImageFormat::Png)
        .expect("writing into memory succeeds");
    png.into_inner()
}

/// Scaled to the room of a tile; what is enlarged keeps its pixels to be seen.
fn fitted(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    let filter = match longer < SIDE {
        true => FilterType::Nearest,
        false => FilterType::Triangle,
    };
    let scaled = |side: u32| (side * SIDE / longer).max(1);
    imageops::resize(picture, scaled(width), scaled(height), filter)
}

fn shortened(caption: &str) -> String {
    match caption.char_indices().nth(LETTERS) {
        None => caption.to_owned(),
        Some((end, _)) => format!("{}...", &caption[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_is_on_the_sheet() {
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250]];
        let tiles: Vec<Tile> = (0..7)
            .map(|index| Tile {
                picture: RgbImage::from_pixel(
                    8,
                    4 + 300 * (index % 2),
                    Rgb(colours[index as usize % 3]),
                ),
                caption: format!("class {index} of a name that is very long"),
            })
            .collect();
        let sheet = image::load_from_memory(&png(&tiles)).unwrap().into_rgb8();
        assert_eq!(sheet.width(), GAP + 6 * (SIDE + GAP));
        assert_eq!(sheet.height(), GAP + 2 * (SIDE + CAPTION + GAP));
        let found = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!(found(GAP + 1, GAP + 1), colours[0]);
        assert_eq!(found(GAP + SIDE + GAP + 1, GAP + 1), colours[1]);
        assert_eq!(found(GAP + 1, GAP + SIDE + CAPTION + GAP + 1), colours[0]);
        let caption = imageops::crop_imm(&sheet, GAP, GAP + SIDE, SIDE, CAPTION).to_image();
        assert!(
            caption.pixels().any(|pixel| pixel.0 != [255; 3]),
            "no caption"
        );
    }
}
