//! `train check --preview`: training images as a run is to see them, but for their normalisation.

use std::path::Path;

use data::{Batch, Opened, Pipeline, Share, Transform};
use image::{Rgb, RgbImage};

use super::run;
use crate::error::Error;
use crate::files;
use crate::plan::{Circumstances, Plan};
use crate::preprocess::{self, Preprocessing};
use crate::recipe::RecipeFile;
use crate::sheet::{self, Tile};

/// How many images are shown.
const IMAGES: usize = 24;

/// Writes a sheet of the first images of the first epoch, with their classes.
///
/// # Errors
///
/// Where the recipe does not fit the dataset, an image cannot be read, or the disk does not take the sheet.
pub fn write(
    file: &RecipeFile,
    opened: &Opened,
    here: &Circumstances,
    path: &Path,
) -> Result<(), Error> {
    let unreadable = |error| Error::failure("cannot read the images").explained_by(error);
    let plan = Plan::new(file, &run::facts(file, opened), here)?;
    let (train, _) = run::divide(&plan, opened).map_err(unreadable)?;
    let preprocessing =
        Preprocessing::new(&plan.augment, opened, &train, plan.on_bad_image).map_err(unreadable)?;
    let is_seen = |transform: &Transform| {
        !matches!(
            transform,
            Transform::Normalize { .. } | Transform::SubtractPixelMean { .. }
        )
    };
    let pipeline = preprocessing.train.0.into_iter().filter(is_seen).collect();
    let loader = run::training_loader(&plan, train, Pipeline(pipeline), Share::WHOLE)
        .map_err(preprocess::misfit)?;
    let mut tiles = Vec::new();
    for batch in loader.batches(0) {
        tiles.extend(tiles_of(&batch.map_err(unreadable)?, &opened.classes));
        if tiles.len() >= IMAGES {
            break;
        }
    }
    tiles.truncate(IMAGES);
    files::replace(path, &sheet::png(&tiles))
        .map_err(|error| Error::failure("cannot write the preview").because(error))
}

fn tiles_of(batch: &Batch, classes: &[String]) -> Vec<Tile> {
    let values = batch.values();
    let images = values.chunks_exact(batch.size.values());
    let tile = |(index, values): (usize, &[f32])| {
        let own = &classes[batch.labels[index]];
        Tile {
            picture: picture(values, batch),
            caption: match &batch.mixed {
                None => own.clone(),
                Some(mixed) => {
                    let other = &classes[mixed.labels[index]];
                    let share = 100.0 * mixed.share;
                    format!("{share:.0} % {own}, {other}")
                }
            },
        }
    };
    images.enumerate().map(tile).collect()
}

/// From black at 0 to white at 1; what is beyond is cut off.
fn picture(values: &[f32], batch: &Batch) -> RgbImage {
    let size = batch.size;
    RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let place = y as usize * size.width + x as usize;
        let byte = |channel: usize| {
            let channel = channel.min(size.channels - 1);
            (values[channel * size.plane() + place] * 255.0).round() as u8
        };
        Rgb([0, 1, 2].map(byte))
    })
}
