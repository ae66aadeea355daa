//! `train features`: what flows inside a network, image by image, as a file.

use std::path::Path;

use data::{Loader, OnBadImage, Size};
use models::layers::global_average;
use models::parts::is_within;
use serde_json::json;

use super::blueprint::by_sides;
use super::eval::{self, BATCH};
use super::network::Network;
use super::{data_dir, start_threads};
use crate::cli::FeaturesArgs;
use crate::error::Error;
use crate::files::{self, Replacement};
use crate::plan::Plan;
use crate::progress::grouped;
use crate::streams::say;
use crate::upload::images_of;
use crate::{datasets, device, preprocess, report, suggest};

/// Threads that prepare images.
const WORKERS: usize = 1;

/// Writes the activations at a place of a network for the images of a split, and their labels.
pub fn run(arguments: &FeaturesArgs) -> Result<(), Error> {
    let chosen = device::choose(&arguments.machine.device)?;
    start_threads(arguments.machine.threads);
    let plan = match arguments.network.run.first() {
        Some(folder) => Some(Plan::read(&folder.join(report::PLAN))?),
        None => None,
    };
    let dataset = eval::dataset(arguments.dataset.as_deref(), plan.as_ref())?;
    let opened = datasets::open(&dataset, &data_dir(&arguments.data))?;
    let network = Network::load(&arguments.network, &chosen)?;
    let source = eval::split(arguments.split, &opened, plan.as_ref())?;
    let batch = arguments.batch.unwrap_or(BATCH);
    let loader = Loader::ordered(
        source,
        network.for_dataset(opened.sizes)?,
        batch,
        OnBadImage::Stop,
        WORKERS,
    )
    .map_err(preprocess::misfit)?;
    network.check(loader.size())?;
    let shape = shape_at(&arguments.at, &network, loader.size())?;
    let shape = if arguments.pool {
        shape[..1].to_vec()
    } else {
        shape
    };

    let images = loader.images();
    let mut file = TensorFile::create(&arguments.output, images, &shape).map_err(unwritable)?;
    for batch in loader.once() {
        let batch =
            batch.map_err(|error| Error::failure("cannot read the images").explained_by(error))?;
        let input = images_of(&batch, &chosen.device);
        let features = network.model.features(input, &arguments.at);
        let features = features.expect("a place that was found");
        let data = match arguments.pool {
            true => global_average(features).into_data(),
            false => features.into_data(),
        };
        let values: Vec<f32> = data
            .convert::<f32>()
            .try_to_vec()
            .expect("converted to f32");
        file.append(&values, &batch.labels).map_err(unwritable)?;
    }
    file.finish().map_err(unwritable)?;
    say(format_args!(
        "wrote `{}`: {} values of each of {} images",
        arguments.output.display(),
        by_sides(&shape),
        grouped(images as u64)
    ));
    Ok(())
}

/// `[channels, height, width]` of what flows at the last place in that part of the network.
fn shape_at(part: &str, network: &Network, size: Size) -> Result<Vec<usize>, Error> {
    let input = [size.channels, size.height, size.width];
    let places = network.model.places(input);
    let mut last_first = places.iter().rev();
    if let Some(place) = last_first.find(|place| is_within(&place.name, part)) {
        return Ok(place.shape.to_vec());
    }
    let error = Error::usage(format!("the network shows nothing at `{part}`"));
    let names = places.iter().map(|place| place.name.as_str());
    Err(match suggest::hint(part, names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

fn unwritable(error: files::Error) -> Error {
    Error::failure("cannot write the features").explained_by(error)
}

/// A safetensors file of `features`, which are written as they come, and `labels`, which wait for the
/// end: it takes memory for a batch and a number an image.
struct TensorFile {
    file: Replacement,
    labels_at: u64,
    labels: Vec<i64>,
}

impl TensorFile {
    fn create(path: &Path, images: usize, shape: &[usize]) -> files::Result<Self> {
        let labels = 8 * images;
        let features = 4 * images * shape.iter().product::<usize>();
        let shape: Vec<usize> = [&[images], shape].concat();
        let header = json!({
            "labels": { "dtype": "I64", "shape": [images], "data_offsets": [0, labels] },
            "features": {
                "dtype": "F32",
                "shape": shape,
                "data_offsets": [labels, labels + features],
            },
        });
        let mut header = header.to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let labels_at = 8 + header.len() as u64;
        let mut file = Replacement::of(path)?;
        file.write(&(header.len() as u64).to_le_bytes())?;
        file.write(&header)?;
        file.seek(labels_at + labels as u64)?;
        Ok(Self {
            file,
            labels_at,
            labels: Vec::with_capacity(images),
        })
    }

    fn append(&mut self, values: &[f32], labels: &[usize]) -> files::Result<()> {
        self.labels.extend(labels.iter().map(|label| *label as i64));
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.file.write(&bytes)
    }

    fn finish(mut self) -> files::Result<()> {
        self.file.seek(self.labels_at)?;
        let bytes: Vec<u8> = self.labels.iter().flat_map(|l| l.to_le_bytes()).collect();
        self.file.write(&bytes)?;
        self.file.finish()
    }
}
