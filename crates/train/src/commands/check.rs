//! `train check`: a recipe, checked without training.

use serde::Serialize;

use super::run::check_declared;
use super::{cores, print_json};
use crate::cli::{CheckArgs, Format};
use crate::datasets;
use crate::error::Error;
use crate::plan::Circumstances;
use crate::recipe::{Dataset, RecipeFile, Transform};
use crate::start;
use crate::streams::print_line;

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
    let file = RecipeFile::find(&arguments.config, &arguments.set, None)?;
    let architecture = file.architecture()?;
    start::check_parts(&file, &architecture)?;
    let here = Circumstances {
        device: "cpu".into(),
        workers: 1,
        threads: cores(),
        started_in: None,
        initialization: architecture.initialization(),
        init_sha256: String::new(),
    };
    check_declared(&file, &architecture, &here)?;
    let recipe = &file.recipe;
    let checked = Checked {
        recipe: file.shown().to_owned(),
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

fn print(checked: &Checked) -> Result<(), Error> {
    print_line(format_args!("{}: the recipe is sound", checked.recipe))?;
    print_line(format_args!("model    {}", checked.model))?;
    print_line(format_args!("dataset  {}", checked.dataset))?;
    print_line(format_args!("batch    {}", checked.batch))?;
    print_line(format_args!("length   {}", checked.length))?;
    if let Some(pca) = &checked.pca {
        print_line(format_args!(
            "pca      eigenvalues {:?} of the covariance of RGB, pixels in [0, 1]",
            pca.eigenvalues
        ))?;
        for (color, row) in ["red", "green", "blue"].iter().zip(&pca.eigenvectors) {
            print_line(format_args!("         {color:<5} {row:?}"))?;
        }
    }
    Ok(())
}
