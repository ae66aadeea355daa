//! `train check`: a recipe, checked without training.

use serde::Serialize;

use super::run::{self, check_declared};
use super::{cores, data_dir, preview, print_json};
use crate::cli::{CheckArgs, Format};
use crate::datasets;
use crate::error::Error;
use crate::plan::Circumstances;
use crate::recipe::{Augment, Dataset, RecipeFile, Transform};
use crate::start;
use crate::streams::{print_line, say};

#[derive(Serialize)]
struct Checked {
    recipe: String,
    model: String,
    dataset: String,
    batch: usize,
    length: String,
    augment: Augment,
    pca: Option<data::Pca>,
}

/// Checks a recipe as far as that is possible without data.
pub fn run(arguments: &CheckArgs) -> Result<(), Error> {
    let file = RecipeFile::find(&arguments.config, &arguments.set, None)?;
    let architecture = file.architecture()?;
    start::check_parts(&file, &architecture)?;
    start::check_whiten(&file, &architecture)?;
    let here = Circumstances {
        device: "cpu".into(),
        workers: 1,
        threads: cores(),
        processes: 1,
        started_in: None,
        initialization: architecture.initialization(),
        init_sha256: String::new(),
    };
    check_declared(&file, &architecture, &here)?;
    if let Some(path) = &arguments.preview {
        let opened = run::open(&file, &data_dir(&arguments.data))?;
        preview::write(&file, &opened, &here, path)?;
        say(format_args!("preview {}", path.display()));
    }
    let recipe = &file.recipe;
    let checked = Checked {
        recipe: file.shown().to_owned(),
        model: recipe.model.name.clone(),
        dataset: recipe.dataset.title(),
        batch: recipe.batch,
        length: recipe.length.to_string(),
        augment: recipe.augment.clone(),
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
    print_augment(&checked.augment)?;
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

/// What is done to images, as the recipe writes it, a line each.
fn print_augment(augment: &Augment) -> Result<(), Error> {
    let Augment {
        repeated_augmentation,
        mix,
        train,
        test,
    } = augment;
    for (name, transforms) in [("train", train), ("test", test)] {
        for transform in transforms {
            print_line(format_args!("{name:<8} {}", in_toml(transform)))?;
        }
    }
    for mix in mix {
        print_line(format_args!("batches  {}", in_toml(mix)))?;
    }
    match repeated_augmentation {
        1 => Ok(()),
        times => print_line(format_args!("batches  each image {times} times")),
    }
}

fn in_toml(value: &impl Serialize) -> String {
    let value = toml::Value::try_from(value).expect("a recipe's parts are plain data");
    let table = value.to_string();
    let inside = table
        .strip_prefix("{ ")
        .and_then(|rest| rest.strip_suffix(" }"));
    inside.unwrap_or(&table).to_owned()
}
