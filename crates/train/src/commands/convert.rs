//! `train convert`: a network's weights as a file for others.
//!
//! What is written is a model file, as a run's `model.safetensors` is: PyTorch loads it, strictly, into
//! the reference implementation, since names and layouts are that one's, and Kiln finds in its metadata
//! what the network is.

use models::parameters;

use super::network::Network;
use crate::cli::ConvertArgs;
use crate::device;
use crate::error::Error;
use crate::network;
use crate::progress::grouped;
use crate::streams::say;

/// Writes the weights of a run's network, or of a named one.
pub fn run(arguments: &ConvertArgs) -> Result<(), Error> {
    let path = &arguments.output;
    if path
        .extension()
        .is_none_or(|ending| ending != "safetensors")
    {
        return Err(Error::usage(format!("cannot write `{}`", path.display()))
            .because("expected a name that ends in `.safetensors`"));
    }
    let network = Network::load(&arguments.network, &device::choose("cpu")?)?;
    let card = network.card();
    network::write(path, &network.model, &card)
        .map_err(|error| Error::failure("cannot write the weights").explained_by(error))?;
    say(format_args!(
        "wrote `{}`: the {} parameters of {}",
        path.display(),
        grouped(parameters::count(&network.model) as u64),
        card.model.name
    ));
    Ok(())
}
