//! Every network by name.

use crate::Architecture::{self, LeNet, ResNet};
use crate::lenet::LENET5;
use crate::resnet::{
    RESNET18, RESNET18_CIFAR, RESNET34, RESNET50, RESNET101, RESNET152, cifar, plain,
};

/// A named network.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What a recipe calls it.
    pub name: &'static str,
    /// Its configuration as published.
    pub architecture: Architecture,
    /// Height and width of the images that it was published for.
    pub image_size: usize,
    /// Where it was published.
    pub paper: &'static str,
}

const LECUN_1998: &str = "LeCun et al. 1998";
const HE_2015: &str = "He et al. 2015, arXiv:1512.03385";

/// The registry, in the order in which it is listed.
pub const MODELS: &[Entry] = &[
    entry("lenet5", LeNet(LENET5), 28, LECUN_1998),
    entry("plain8", ResNet(plain(cifar(&[1, 1, 1]))), 32, HE_2015),
    entry("plain20", ResNet(plain(cifar(&[3, 3, 3]))), 32, HE_2015),
    entry("plain32", ResNet(plain(cifar(&[5, 5, 5]))), 32, HE_2015),
    entry("plain44", ResNet(plain(cifar(&[7, 7, 7]))), 32, HE_2015),
    entry("plain56", ResNet(plain(cifar(&[9, 9, 9]))), 32, HE_2015),
    entry("plain110", ResNet(plain(cifar(&[18, 18, 18]))), 32, HE_2015),
    entry("resnet8", ResNet(cifar(&[1, 1, 1])), 32, HE_2015),
    entry("resnet20", ResNet(cifar(&[3, 3, 3])), 32, HE_2015),
    entry("resnet32", ResNet(cifar(&[5, 5, 5])), 32, HE_2015),
    entry("resnet44", ResNet(cifar(&[7, 7, 7])), 32, HE_2015),
    entry("resnet56", ResNet(cifar(&[9, 9, 9])), 32, HE_2015),
    entry("resnet110", ResNet(cifar(&[18, 18, 18])), 32, HE_2015),
    entry("resnet18_cifar", ResNet(RESNET18_CIFAR), 32, HE_2015),
    entry("plain18", ResNet(plain(RESNET18)), 224, HE_2015),
    entry("plain34", ResNet(plain(RESNET34)), 224, HE_2015),
    entry("resnet18", ResNet(RESNET18), 224, HE_2015),
    entry("resnet34", ResNet(RESNET34), 224, HE_2015),
    entry("resnet50", ResNet(RESNET50), 224, HE_2015),
    entry("resnet101", ResNet(RESNET101), 224, HE_2015),
    entry("resnet152", ResNet(RESNET152), 224, HE_2015),
];

const fn entry(
    name: &'static str,
    architecture: Architecture,
    image_size: usize,
    paper: &'static str,
) -> Entry {
    Entry {
        name,
        architecture,
        image_size,
        paper,
    }
}

/// The network of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    MODELS.iter().find(|entry| entry.name == name)
}

/// All names, in the registry's order.
pub fn names() -> Vec<&'static str> {
    MODELS.iter().map(|entry| entry.name).collect()
}

impl Entry {
    /// `[channels, height, width]` of the images that it was published for.
    pub fn input(&self) -> [usize; 3] {
        [
            self.architecture.channels(),
            self.image_size,
            self.image_size,
        ]
    }
}
