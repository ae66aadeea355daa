//! `train predict`: the classes that a network sees in images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use data::random::{self, Purpose};
use data::{Image, Pipeline, Size};
use models::onnx::{INPUT, LOGITS};
use models::weights::{HostTensor, Weights};
use serde::Serialize;

use super::network::Network;
use super::{dense, print_json, start_threads};
use crate::cli::{PredictArgs, PredictionFormat};
use crate::error::Error;
use crate::streams::{print_line, say};
use crate::{device, evaluate, files};

/// Images at a time.
const BATCH: usize = 16;

/// Prints the classes with the highest probability, or writes the scores of raw images.
pub fn run(arguments: &PredictArgs) -> Result<(), Error> {
    let chosen = device::choose(&arguments.machine.device)?;
    start_threads(arguments.machine.threads);
    let network = Network::load(&arguments.network, &chosen)?;
    match (&arguments.input, &arguments.output) {
        (Some(input), Some(output)) => score_tensors(&network, input, output, &chosen.device),
        _ if arguments.dense => dense::run(&network, arguments, &chosen.device),
        _ => classify(&network, arguments, &chosen.device),
    }
}

/// What a network sees in an image.
#[derive(Serialize)]
pub struct Classified<'a> {
    /// The file.
    pub image: String,
    /// The most probable classes.
    pub predictions: Vec<Prediction<'a>>,
}

/// A class, and how probable it is.
#[derive(Serialize)]
pub struct Prediction<'a> {
    /// Its number.
    pub index: usize,
    /// Its name.
    pub class: &'a str,
    /// Its probability.
    pub score: f64,
}

/// Classifies files and prints what they are. One that cannot be read is named, and the others go on.
fn classify(network: &Network, arguments: &PredictArgs, device: &Device) -> Result<(), Error> {
    let (pipeline, size) = network.for_any_size()?;
    let paths = listed(&arguments.images)?;
    say(format_args!("images  {pipeline}"));
    let mut printer = Printer::new(arguments.format)?;
    let mut unread = Unread::default();
    for paths in paths.chunks(BATCH) {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for path in paths {
            if let Some(image) = unread.or(prepared(path, network, &pipeline)) {
                names.push(path.display().to_string());
                values.extend(image.into_f32());
            }
        }
        for (image, scores) in names
            .into_iter()
            .zip(scores(network, &values, size, device))
        {
            let predictions = best(&scores, &network.classes, arguments.top);
            printer.print(Classified { image, predictions })?;
        }
    }
    printer.finish()?;
    unread.of(paths.len())
}

/// Images that could not be read, which are named as they are met.
#[derive(Default)]
pub struct Unread(usize);

impl Unread {
    /// The image, where there is one.
    pub fn or(&mut self, image: Result<Image, data::Error>) -> Option<Image> {
        image
            .map_err(|error| {
                self.0 += 1;
                say(Error::failure("cannot read the image")
                    .explained_by(error)
                    .report());
            })
            .ok()
    }

    /// Whether all of so many images could be read.
    ///
    /// # Errors
    ///
    /// With exit code 1, where one could not.
    pub fn of(self, images: usize) -> Result<(), Error> {
        match self.0 {
            0 => Ok(()),
            unread => Err(Error::failure(format!(
                "{unread} of {images} images could not be read"
            ))),
        }
    }
}

/// The files that the command line names, and those in its folders.
pub fn listed(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot = || Error::failure(format!("cannot read folder `{}`", path.display()));
        let found = data::image_files(path).map_err(|error| cannot().explained_by(error))?;
        if found.is_empty() {
            return Err(cannot()
                .because("there are no images in it")
                .with_hint("images are files whose names end in `.png`, `.jpg` or `.jpeg`"));
        }
        files.extend(found);
    }
    Ok(files)
}

/// The image of a file as `pipeline` makes it.
pub fn prepared(path: &Path, network: &Network, pipeline: &Pipeline) -> Result<Image, data::Error> {
    let image = data::read_image(path, network.size.channels)?;
    // Evaluation has no random transforms: the stream is asked for nothing.
    let mut rng = random::stream(0, Purpose::Augment, 0, 0);
    pipeline.apply(image, &mut rng)
}

/// The `count` most probable classes.
pub fn best<'a>(scores: &[f32], classes: &'a [String], count: usize) -> Vec<Prediction<'a>> {
    let log_probabilities = evaluate::log_softmax(scores);
    evaluate::ranked(&log_probabilities)
        .into_iter()
        .take(count)
        .map(|index| Prediction {
            index,
            class: &classes[index],
            score: log_probabilities[index].exp(),
        })
        .collect()
}

/// Prints results as they come, but for JSON, which is one array.
pub struct Printer<'a> {
    format: PredictionFormat,
    classified: Vec<Classified<'a>>,
}

impl<'a> Printer<'a> {
    /// A printer, behind the head of a table where the format has one.
    pub fn new(format: PredictionFormat) -> Result<Self, Error> {
        if format == PredictionFormat::Csv {
            print_row(("image", "rank", "index", "class", "score"))?;
        }
        Ok(Self {
            format,
            classified: Vec::new(),
        })
    }

    /// Prints what is seen in one more image.
    pub fn print(&mut self, classified: Classified<'a>) -> Result<(), Error> {
        let Classified { image, predictions } = &classified;
        match self.format {
            PredictionFormat::Json => self.classified.push(classified),
            PredictionFormat::Csv => {
                for (rank, found) in (1..).zip(predictions) {
                    print_row((image, rank, found.index, found.class, found.score))?;
                }
            }
            PredictionFormat::Text => {
                print_line(image)?;
                for Prediction {
                    index,
                    class,
                    score,
                } in predictions
                {
                    print_line(format_args!("{:8.2} %  {class} ({index})", 100.0 * score))?;
                }
            }
        }
        Ok(())
    }

    /// Prints what is left.
    pub fn finish(self) -> Result<(), Error> {
        match self.format {
            PredictionFormat::Json => print_json(&self.classified),
            PredictionFormat::Csv | PredictionFormat::Text => Ok(()),
        }
    }
}

fn print_row(row: impl Serialize) -> Result<(), Error> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    writer.serialize(row).expect("a row is flat");
    let line = writer.into_inner().expect("memory takes it");
    print_line(String::from_utf8_lossy(&line).trim_end())
}

/// Feeds the images of a file as they are, and writes their scores.
fn score_tensors(
    network: &Network,
    input: &Path,
    output: &Path,
    device: &Device,
) -> Result<(), Error> {
    let (size, values) = data::read_images(input, INPUT)
        .map_err(|error| Error::failure("cannot read the images").explained_by(error))?;
    network.check(size)?;
    let logits: Vec<f32> = values
        .chunks(BATCH * size.values())
        .flat_map(|images| scores(network, images, size, device))
        .flatten()
        .collect();
    let shape = vec![values.len() / size.values(), network.classes.len()];
    let file = Weights {
        tensors: BTreeMap::from([(
            LOGITS.to_owned(),
            HostTensor {
                shape,
                values: logits,
            },
        )]),
        ..Weights::default()
    };
    files::replace(output, &file.to_safetensors())
        .map_err(|error| Error::failure("cannot write the scores").because(error))
}

/// The scores of images of `size` whose values lie one after the other.
fn scores(network: &Network, values: &[f32], size: Size, device: &Device) -> Vec<Vec<f32>> {
    if values.is_empty() {
        return Vec::new();
    }
    let count = values.len() / size.values();
    let shape = [count, size.channels, size.height, size.width];
    let images = Tensor::from_data(TensorData::new(values.to_vec(), shape), device);
    evaluate::rows(network.model.forward(images))
}
