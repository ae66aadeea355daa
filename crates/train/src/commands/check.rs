//! `train check`: a recipe, checked without training.

use crate::cli::CheckArgs;
use crate::commands::NAMES;
use crate::configs;
use crate::error::Error;
use crate::recipe::RecipeFile;

/// Checks a recipe as far as that is possible without data.
pub fn run(arguments: &CheckArgs) -> Result<(), Error> {
    let file = configs::find(&arguments.config)?;
    let checked = RecipeFile::read(&file, &arguments.set, &NAMES)?;
    let recipe = &checked.recipe;
    println!(
        "{}: `{}` for {}, {} images a step",
        file.shown, recipe.model.name, recipe.length, recipe.batch
    );
    Ok(())
}
