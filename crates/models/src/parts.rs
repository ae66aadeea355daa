//! Parts of a network by name.
//!
//! A part is what taps and the network's own structure call it (`stem`, `stage1`, `stage1.block0`,
//! `head`), or a layer or parameter as the reference implementation calls it (`layer1.0.conv1`).

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::Model;
use crate::parameters::{self, Parameter};

/// A name that no part of a network has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the network has no part `{name}`")]
pub struct UnknownPart {
    /// The name.
    pub name: String,
    /// The parts that the network is made of.
    pub parts: Vec<String>,
}

/// The paths of the parameters in the parts of `model` that have these names.
///
/// # Errors
///
/// Where no part has one of the names.
pub fn select(model: &Model, names: &[String]) -> Result<BTreeSet<String>, UnknownPart> {
    let parameters = parameters::of(model);
    let named: BTreeMap<&str, [String; 2]> = parameters
        .iter()
        .map(|Parameter { path, .. }| (path.as_str(), [place(path), model.pytorch_name(path)]))
        .collect();
    let mut selected = BTreeSet::new();
    for name in names {
        let in_part = named
            .iter()
            .filter(|(_, [place, pytorch])| is_within(place, name) || is_within(pytorch, name));
        let paths: Vec<String> = in_part.map(|(path, _)| (*path).to_owned()).collect();
        if paths.is_empty() {
            let name = name.clone();
            let parts = outermost(&parameters);
            return Err(UnknownPart { name, parts });
        }
        selected.extend(paths);
    }
    Ok(selected)
}

/// Whether `place` is the part of that name, or lies in it: `stage1.block0` and `stage1` do in
/// `stage1`, `stage10` does not.
pub fn is_within(place: &str, part: &str) -> bool {
    let rest = place.strip_prefix(part);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Where a parameter is, as taps count: stages from 1, what is in them from 0. That of
/// `stages.0.blocks.1.norm.weight` is `stage1.block1.norm.weight`.
fn place(path: &str) -> String {
    let mut place: Vec<String> = Vec::new();
    for (depth, part) in path.split('.').enumerate() {
        let index: Option<usize> = part.parse().ok();
        match (index, place.last_mut()) {
            (Some(index), Some(list)) if list.ends_with('s') => {
                list.pop();
                let number = if depth == 1 { index + 1 } else { index };
                list.push_str(&number.to_string());
            }
            _ => place.push(part.to_owned()),
        }
    }
    place.join(".")
}

/// The outermost parts, in the network's own order.
fn outermost(parameters: &[Parameter]) -> Vec<String> {
    let mut parts: Vec<String> = parameters
        .iter()
        .map(|parameter| {
            let place = place(&parameter.path);
            let (part, _) = place.split_once('.').unwrap_or((&place, ""));
            part.to_owned()
        })
        .collect();
    parts.dedup();
    parts
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{Init, Initialization, registry};

    fn model(name: &str) -> Model {
        let architecture = &registry::find(name).unwrap().architecture;
        architecture.init(&mut Init::new(&Device::flex(), Initialization::He, 0))
    }

    fn count(model: &Model, name: &str) -> usize {
        select(model, &[name.to_owned()]).unwrap().len()
    }

    #[test]
    fn a_part_has_the_names_of_taps_and_of_the_reference() {
        let model = model("resnet20");
        // A convolution, and the normalisation's scale, shift, mean and variance.
        let layer = 5;
        assert_eq!(count(&model, "stem"), layer);
        assert_eq!(count(&model, "stage1"), 6 * layer);
        assert_eq!(count(&model, "layer1"), 6 * layer);
        assert_eq!(count(&model, "stage1.block0"), 2 * layer);
        assert_eq!(count(&model, "layer1.0.conv1"), 1);
        assert_eq!(count(&model, "head"), 2);
        let names = ["stem", "conv1", "bn1"].map(String::from);
        assert_eq!(select(&model, &names).unwrap().len(), layer);
    }

    #[test]
    fn a_name_of_no_part_lists_the_parts() {
        for name in ["stage", "stage4", "stage1.", ""] {
            let unknown = select(&model("resnet20"), &[name.to_owned()]).unwrap_err();
            assert_eq!(unknown.name, name);
            let parts = ["stem", "stage1", "stage2", "stage3", "head"];
            assert_eq!(unknown.parts, parts, "{name}");
        }
    }
}
