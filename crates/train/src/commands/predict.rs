//! `train predict`: the classes that a network sees in an image.

use burn::tensor::{Tensor, TensorData};
use data::random::{self, Purpose};
use serde::Serialize;

use super::network::Network;
use super::{dense, print_json, start_threads};
use crate::cli::{Format, PredictArgs};
use crate::error::Error;
use crate::streams::print_line;
use crate::{device, evaluate};

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

/// Prints the classes with the highest probability.
pub fn run(arguments: &PredictArgs) -> Result<(), Error> {
    let chosen = device::choose(&arguments.machine.device)?;
    start_threads(arguments.machine.threads);
    let network = Network::load(&arguments.network, None, &chosen)?;
    if arguments.dense {
        return dense::run(&network, arguments, &chosen.device);
    }
    let image = read(arguments, &network)?;
    let size = image.size;
    network.check(size)?;
    let data = TensorData::new(
        image.into_f32(),
        [1, size.channels, size.height, size.width],
    );
    let scores = network
        .model
        .forward(Tensor::from_data(data, &chosen.device));
    let scores: Vec<f32> = scores
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .expect("converted to f32");
    print(
        arguments,
        &best(&evaluate::softmax(&scores), &network.classes, arguments.top),
    )
}

fn read(arguments: &PredictArgs, network: &Network) -> Result<data::Image, Error> {
    let cannot = |error| Error::failure("cannot read the image").explained_by(error);
    let image = data::read_image_as(&arguments.image, network.size).map_err(cannot)?;
    // Evaluation has no random transforms: the stream is asked for nothing.
    let mut rng = random::stream(0, Purpose::Augment, 0, 0);
    network.preprocessing.apply(image, &mut rng).map_err(cannot)
}

/// The `count` most probable classes.
pub fn best<'a>(probabilities: &[f64], classes: &'a [String], count: usize) -> Vec<Prediction<'a>> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| {
        probabilities[b]
            .total_cmp(&probabilities[a])
            .then(a.cmp(&b))
    });
    order
        .into_iter()
        .take(count)
        .map(|index| Prediction {
            index,
            class: &classes[index],
            score: probabilities[index],
        })
        .collect()
}

/// Prints predictions in the format that the command line asks for.
pub fn print(arguments: &PredictArgs, predictions: &[Prediction<'_>]) -> Result<(), Error> {
    match arguments.format {
        Format::Json => print_json(&predictions),
        Format::Text => {
            for Prediction {
                index,
                class,
                score,
            } in predictions
            {
                print_line(format_args!("{:6.2} %  {class} ({index})", 100.0 * score))?;
            }
            Ok(())
        }
    }
}
