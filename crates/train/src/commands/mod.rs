//! The commands: what each line of the command line does.

mod check;

use crate::cli::{Cli, Command};
use crate::error::Error;
use crate::recipe::Names;

/// The names that a recipe may use.
pub const NAMES: Names<'_> = Names {
    models: &[
        "lenet5",
        "plain18",
        "plain34",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet18_cifar",
        "plain8",
        "plain20",
        "plain32",
        "plain44",
        "plain56",
        "plain110",
        "resnet8",
        "resnet20",
        "resnet32",
        "resnet44",
        "resnet56",
        "resnet110",
    ],
    datasets: &["digits", "cifar10", "cifar100", "mnist", "fashion-mnist"],
};

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<(), Error> {
    match cli.command {
        Some(Command::Check(arguments)) => check::run(&arguments),
        _ => Err(Error::usage("this build only has `train check`")),
    }
}
