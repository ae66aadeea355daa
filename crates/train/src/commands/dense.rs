//! `train predict --dense`: what a network sees in an image of any size, and where.

use std::io::Cursor;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData, s};
use data::{Image, Pixels};
use image::{ImageFormat, Rgb, RgbImage};

use super::network::Network;
use super::predict::{self, Classified, Printer, Unread};
use crate::cli::PredictArgs;
use crate::error::Error;
use crate::heatmap::{self, Map};
use crate::streams::say;
use crate::{files, suggest};

/// Channels of what is drawn over.
const COLOURS: usize = 3;

/// Prints the classes of the maps, and draws the map of one of them.
pub fn run(network: &Network, arguments: &PredictArgs, device: &Device) -> Result<(), Error> {
    let wanted = match &arguments.class {
        Some(class) => Some(class_of(class, &network.classes)?),
        None => None,
    };
    let paths = predict::listed(&arguments.images)?;
    if arguments.heatmap.is_some() && paths.len() != 1 {
        let error = format!("`--heatmap` draws one image, found {}", paths.len());
        return Err(Error::usage(error).with_hint("name a single file"));
    }
    let pipeline = network.for_whole_images(arguments.network.resize.is_some());
    let mut printer = Printer::new(arguments.format)?;
    let mut unread = Unread::default();
    for path in &paths {
        let Some(image) = unread.or(predict::prepared(path, network, &pipeline)) else {
            continue;
        };
        let map = map_of(network, image, device)?;
        let [_, _, height, width] = map.dims();
        say(format_args!("map     {height}x{width} places"));
        let scores = values(network.model.over_places(map.clone()));
        let predictions = predict::best(&scores, &network.classes, arguments.top);
        if let Some(heatmap) = &arguments.heatmap {
            let class = wanted.unwrap_or(predictions[0].index);
            let extent = network.model.seen().extent();
            draw(heatmap, path, &scores_of(class, map), extent)?;
            let class = &network.classes[class];
            say(format_args!("heatmap {}: {class}", heatmap.display()));
        }
        let image = path.display().to_string();
        printer.print(Classified { image, predictions })?;
    }
    printer.finish()?;
    unread.of(paths.len())
}

/// A class by its number or its name.
fn class_of(wanted: &str, classes: &[String]) -> Result<usize, Error> {
    let named = classes.iter().position(|class| class == wanted);
    let number: Option<usize> = wanted.parse().ok();
    let numbered = number.filter(|index| *index < classes.len());
    named.or(numbered).ok_or_else(|| {
        let error = Error::usage(format!("the network has no class `{wanted}`"));
        let names = classes.iter().map(String::as_str);
        let near = number.is_none().then(|| suggest::nearest(wanted, names));
        match near.flatten() {
            Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
            None => error.with_hint(format!(
                "name one of its classes, or give a number from 0 to {}",
                classes.len() - 1
            )),
        }
    })
}

fn map_of(network: &Network, image: Image, device: &Device) -> Result<Tensor<4>, Error> {
    let size = image.size;
    network.check_map(size)?;
    let shape = [1, size.channels, size.height, size.width];
    let image = TensorData::new(image.into_f32(), shape);
    Ok(network.model.forward_map(Tensor::from_data(image, device)))
}

fn values<const D: usize>(scores: Tensor<D>) -> Vec<f32> {
    let scores = scores.into_data().convert::<f32>();
    scores.try_to_vec().expect("converted to f32")
}

/// The scores of a class at each place of a map `[1, classes, h, w]`.
fn scores_of(class: usize, map: Tensor<4>) -> Map {
    let [_, _, height, width] = map.dims();
    let scores = values(map.slice(s![.., class..=class, .., ..]));
    Map::from_vec(width as u32, height as u32, scores).expect("a value a place")
}

fn draw(heatmap: &Path, image: &Path, map: &Map, extent: usize) -> Result<(), Error> {
    let photograph = data::read_image(image, COLOURS)
        .map_err(|error| Error::failure("cannot read the image").explained_by(error))?;
    let drawn = heatmap::draw(&as_rgb(&photograph), map, extent);
    let mut png = Cursor::new(Vec::new());
    drawn
        .write_to(&mut png, ImageFormat::Png)
        .expect("memory takes an image");
    files::replace(heatmap, png.get_ref())
        .map_err(|error| Error::failure("cannot write the heatmap").because(error))
}

fn as_rgb(image: &Image) -> RgbImage {
    let Pixels::U8(bytes) = &image.pixels else {
        unreachable!("image files are read as bytes")
    };
    let size = image.size;
    RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let place = y as usize * size.width + x as usize;
        Rgb([0, 1, 2].map(|colour| bytes[colour * size.plane() + place]))
    })
}
