//! `train check`: a recipe, checked without training.

use serde::Serialize;

use super::{print_json, run::architecture, with_names};
use crate::cli::{CheckArgs, Format};
use crate::configs;
use crate::datasets;
use crate::error::Error;
use crate::recipe::{Dataset, RecipeFile, Transform};

#[derive(Serialize)]
struct Checked {
    recipe: String,
    model: String,
    dataset: String,
    batch: usize,
    length: String,
    pca: Option<data::Pca>,
}

/// Checks a recipe as far as that is possible without data.
pub fn run(arguments: &CheckArgs) -> Result<(), Error> {
    let config = configs::find(&arguments.config)?;
    let file = with_names(|names| RecipeFile::read(&config, &arguments.set, names))?;
    architecture(&file)?;
    let recipe = &file.recipe;
    let checked = Checked {
        recipe: config.shown,
        model: recipe.model.name.clone(),
        dataset: recipe.dataset.title(),
        batch: recipe.batch,
        length: recipe.length.to_string(),
        pca: pca(&file),
    };
    match arguments.format {
        Format::Json => print_json(&checked),
        Format::Text => print(&checked),
    }
    Ok(())
}

/// The principal components that the recipe's colour transform uses, where it has one and the
/// dataset's manifest knows them.
fn pca(file: &RecipeFile) -> Option<data::Pca> {
    let uses = |transform: &Transform| matches!(transform, Transform::PcaColor { .. });
    let Dataset::Name(name) = &file.recipe.dataset else {
        return None;
    };
    if !file.recipe.augment.train.iter().any(uses) {
        return None;
    }
    datasets::find(name)?.statistics.clone()?.pca
}

fn print(checked: &Checked) {
    println!("{}: the recipe is sound", checked.recipe);
    println!("model    {}", checked.model);
    println!("dataset  {}", checked.dataset);
    println!("batch    {}", checked.batch);
    println!("length   {}", checked.length);
    if let Some(pca) = &checked.pca {
        println!(
            "pca      eigenvalues {:?} of the covariance of RGB, pixels in [0, 1]",
            pca.eigenvalues
        );
        for (color, row) in ["red", "green", "blue"].iter().zip(&pca.eigenvectors) {
            println!("         {color:<5} {row:?}");
        }
    }
}
