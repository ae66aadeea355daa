//! Parameters and multiply-adds of every network, against the references' own counts.

use burn::tensor::Device;
use models::resnet::BottleneckStride;
use models::{Architecture, Description, Init, registry};

fn describe(architecture: &Architecture, input: [usize; 3]) -> Description {
    let mut init = Init::new(&Device::flex(), architecture.initialization(), 0);
    Description::of(&architecture.init(&mut init), input)
}

/// Read from the running models of torchvision 0.29 (ImageNet form), computed by hand from the
/// layer table of section 4.2 for the CIFAR form with option A, and for LeNet-5 from its layers:
/// parameters, multiply-adds of convolutions and linear layers.
const COUNTS: &[(&str, usize, u64)] = &[
    ("lenet5", 44_426, 281_640),
    ("resnet20", 269_722, 40_551_040),
    ("plain20", 269_722, 40_551_040),
    ("resnet56", 853_018, 125_485_696),
    ("plain56", 853_018, 125_485_696),
    ("resnet110", 1_727_962, 252_887_680),
    ("resnet18", 11_689_512, 1_814_073_344),
    ("resnet34", 21_797_672, 3_663_761_408),
    ("resnet50", 25_557_032, 4_089_184_256),
    ("resnet101", 44_549_160, 7_801_405_440),
    ("resnet152", 60_192_808, 11_513_626_624),
];

#[test]
fn counts_are_the_references() {
    for &(name, parameters, multiply_adds) in COUNTS {
        let entry = registry::find(name).unwrap();
        let found = describe(&entry.architecture, entry.input());
        assert_eq!(found.parameters, parameters, "parameters of {name}");
        assert_eq!(
            found.multiply_adds, multiply_adds,
            "multiply-adds of {name}"
        );
    }
}

#[test]
fn every_network_can_be_described() {
    for entry in registry::MODELS {
        let described = describe(&entry.architecture, entry.input());
        let in_layers: usize = described.layers.iter().map(|layer| layer.parameters).sum();
        assert_eq!(in_layers, described.parameters, "{}", entry.name);
        let last = described.layers.last().unwrap();
        assert_eq!(
            last.output,
            [entry.architecture.classes()],
            "{}",
            entry.name
        );
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
