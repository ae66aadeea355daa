//! `train convert`: a network as a file for others.
//!
//! A `.safetensors` file is a model file, as a run's `model.safetensors` is: PyTorch loads it, strictly, into
//! the reference implementation, since names and layouts are that one's, and Kiln finds in its metadata
//! what the network is. An `.onnx` file holds the network itself, in evaluation, with the same names and metadata.

use std::path::Path;

use models::{onnx, parameters};

use super::network::Network;
use crate::cli::ConvertArgs;
use crate::error::Error;
use crate::progress::grouped;
use crate::streams::say;
use crate::{device, files, network};

/// Writes a run's network, or a named one.
pub fn run(arguments: &ConvertArgs) -> Result<(), Error> {
    let path = &arguments.output;
    let format = Format::of(path)?;
    let network = Network::load(&arguments.network, &device::choose("cpu")?)?;
    match format {
        Format::Safetensors => write_weights(path, &network),
        Format::Onnx => write_onnx(path, &network),
    }
}

enum Format {
    Safetensors,
    Onnx,
}

impl Format {
    /// What the name of a file ends in.
    fn of(path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("onnx") => Ok(Self::Onnx),
            _ => Err(Error::usage(format!("cannot write `{}`", path.display()))
                .because("expected a name that ends in `.safetensors` or `.onnx`")),
        }
    }
}

fn write_weights(path: &Path, network: &Network) -> Result<(), Error> {
    let card = network.card();
    network::write(path, &network.model, &card)
        .map_err(|error| Error::failure("cannot write the weights").because(error))?;
    say(format_args!(
        "wrote `{}`: the {} parameters of {}",
        path.display(),
        grouped(parameters::count(&network.model) as u64),
        card.model.name
    ));
    Ok(())
}

fn write_onnx(path: &Path, network: &Network) -> Result<(), Error> {
    let (_, size) = network.for_any_size()?;
    let input = [size.channels, size.height, size.width];
    let card = network.card();
    let name = &card.model.name;
    let unwritable = || Error::failure("cannot write the network");
    let bytes = onnx::export(&network.model, input, name, &card.metadata())
        .map_err(|error| unwritable().because(error))?;
    files::replace(path, &bytes).map_err(|error| unwritable().because(error))?;
    let [channels, height, width] = input;
    say(format_args!(
        "wrote `{}`: {name}, from `{}` [batch, {channels}, {height}, {width}] to `{}` [batch, {}]",
        path.display(),
        onnx::INPUT,
        onnx::LOGITS,
        network.classes.len()
    ));
    Ok(())
}
