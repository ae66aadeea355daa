//! Parameters, multiply-adds and activations of every network, against the references' own counts.

mod support;

use models::registry;
use models::resnet::BottleneckStride;
use support::{counts, describe};

const AGAIN: &str = "to count the references again: `python tests/goldens/counts.py` \
                     (tests/goldens/README.md)";

#[test]
fn counts_are_the_references() {
    let rows = counts();
    for entry in registry::MODELS {
        let name = entry.name;
        let row = rows.iter().find(|row| row.model == name);
        let row = row.unwrap_or_else(|| panic!("counts.csv has no `{name}`\n{AGAIN}"));
        let found = describe(&entry.architecture, entry.input());
        let reference = &row.source;
        assert_eq!(entry.image_size, row.image, "image size of {name}");
        assert_eq!(
            [found.parameters, found.auxiliary_parameters],
            [row.parameters, row.auxiliary_parameters],
            "parameters and auxiliary parameters of {name}, right is {reference}\n{AGAIN}"
        );
        assert_eq!(
            [found.multiply_adds, found.activations],
            [row.multiply_adds, row.activations],
            "multiply-adds and activations of {name}, right is {reference}\n{AGAIN}"
        );
    }
    for row in &rows {
        assert!(registry::find(&row.model).is_some(), "{}", row.model);
    }
}

/// Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural Networks*
/// (Distill 2019), give 483 for ResNet-50's and 1027 for ResNet-101's last block, with a
/// bottleneck's stride where the paper has it.
#[test]
fn receptive_fields_are_the_published_ones() {
    for (name, expected) in [("resnet50", 483), ("resnet101", 1027)] {
        let entry = registry::find(name).unwrap();
        let architecture = entry
            .architecture
            .with_bottleneck_stride(BottleneckStride::First)
            .unwrap();
        let layers = describe(&architecture, entry.input()).layers;
        let last = layers
            .iter()
            .rfind(|layer| layer.output.len() == 3)
            .unwrap();
        assert_eq!(last.receptive_field, expected, "{name}");
    }
}

/// 5, then 5 and 1, then 6 and 4 * 2, then 14 and 2: a value of S4 sees 16 pixels, and all of S4
/// together the whole image.
#[test]
fn lenets_last_layers_see_the_whole_image() {
    let entry = registry::find("lenet5").unwrap();
    let fields: Vec<usize> = describe(&entry.architecture, entry.input())
        .layers
        .iter()
        .map(|layer| layer.receptive_field)
        .collect();
    assert_eq!(fields, [5, 6, 14, 16, 28, 28, 28]);
}
