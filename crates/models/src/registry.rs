//! Every network by name.

use crate::Architecture::{self, LeNet, ResNet, Vgg};
use crate::lenet::LENET5;
use crate::resnet::{
    RESNET18, RESNET18_CIFAR, RESNET34, RESNET50, RESNET101, RESNET152, cifar, plain,
};
use crate::vgg::{VGG11, VGG11_LRN, VGG13, VGG16, VGG16_C, VGG19, batch_normalized};

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
    /// What it is known to reach.
    pub result: Option<PublishedResult>,
}

/// A published accuracy.
#[derive(Clone, Copy, Debug)]
pub struct PublishedResult {
    /// Test images that are classified right, in percent.
    pub top1: f64,
    /// Of what, and how measured.
    pub conditions: &'static str,
}

/// One crop of the centre, as the metadata of torchvision's first weights (`IMAGENET1K_V1`) say.
const TORCHVISION: &str = "ImageNet, one crop, torchvision's weights";
/// The paper's own, 100 less its error.
const HE_TABLE_6: &str = "CIFAR-10, the paper's table 6";

const LECUN_1998: &str = "LeCun et al. 1998";
const SIMONYAN_2014: &str = "Simonyan and Zisserman 2014, arXiv:1409.1556";
const HE_2015: &str = "He et al. 2015, arXiv:1512.03385";

/// The registry, in the order in which it is listed.
pub const MODELS: &[Entry] = &[
    entry("lenet5", LeNet(LENET5), 28, LECUN_1998),
    entry("vgg11", Vgg(VGG11), 224, SIMONYAN_2014).reaches(69.02, TORCHVISION),
    entry("vgg11_lrn", Vgg(VGG11_LRN), 224, SIMONYAN_2014),
    entry("vgg13", Vgg(VGG13), 224, SIMONYAN_2014).reaches(69.928, TORCHVISION),
    entry("vgg16_c", Vgg(VGG16_C), 224, SIMONYAN_2014),
    entry("vgg16", Vgg(VGG16), 224, SIMONYAN_2014).reaches(71.592, TORCHVISION),
    entry("vgg19", Vgg(VGG19), 224, SIMONYAN_2014).reaches(72.376, TORCHVISION),
    entry("vgg11_bn", Vgg(batch_normalized(VGG11)), 224, SIMONYAN_2014).reaches(70.37, TORCHVISION),
    entry("vgg13_bn", Vgg(batch_normalized(VGG13)), 224, SIMONYAN_2014)
        .reaches(71.586, TORCHVISION),
    entry(
        "vgg16_c_bn",
        Vgg(batch_normalized(VGG16_C)),
        224,
        SIMONYAN_2014,
    ),
    entry("vgg16_bn", Vgg(batch_normalized(VGG16)), 224, SIMONYAN_2014).reaches(73.36, TORCHVISION),
    entry("vgg19_bn", Vgg(batch_normalized(VGG19)), 224, SIMONYAN_2014)
        .reaches(74.218, TORCHVISION),
    entry("plain8", ResNet(plain(cifar(&[1, 1, 1]))), 32, HE_2015),
    entry("plain20", ResNet(plain(cifar(&[3, 3, 3]))), 32, HE_2015),
    entry("plain32", ResNet(plain(cifar(&[5, 5, 5]))), 32, HE_2015),
    entry("plain44", ResNet(plain(cifar(&[7, 7, 7]))), 32, HE_2015),
    entry("plain56", ResNet(plain(cifar(&[9, 9, 9]))), 32, HE_2015),
    entry("plain110", ResNet(plain(cifar(&[18, 18, 18]))), 32, HE_2015),
    entry("resnet8", ResNet(cifar(&[1, 1, 1])), 32, HE_2015),
    entry("resnet20", ResNet(cifar(&[3, 3, 3])), 32, HE_2015).reaches(91.25, HE_TABLE_6),
    entry("resnet32", ResNet(cifar(&[5, 5, 5])), 32, HE_2015).reaches(92.49, HE_TABLE_6),
    entry("resnet44", ResNet(cifar(&[7, 7, 7])), 32, HE_2015).reaches(92.83, HE_TABLE_6),
    entry("resnet56", ResNet(cifar(&[9, 9, 9])), 32, HE_2015).reaches(93.03, HE_TABLE_6),
    entry("resnet110", ResNet(cifar(&[18, 18, 18])), 32, HE_2015).reaches(93.39, HE_TABLE_6),
    entry("resnet18_cifar", ResNet(RESNET18_CIFAR), 32, HE_2015),
    entry("plain18", ResNet(plain(RESNET18)), 224, HE_2015),
    entry("plain34", ResNet(plain(RESNET34)), 224, HE_2015),
    entry("resnet18", ResNet(RESNET18), 224, HE_2015).reaches(69.758, TORCHVISION),
    entry("resnet34", ResNet(RESNET34), 224, HE_2015).reaches(73.314, TORCHVISION),
    entry("resnet50", ResNet(RESNET50), 224, HE_2015).reaches(76.13, TORCHVISION),
    entry("resnet101", ResNet(RESNET101), 224, HE_2015).reaches(77.374, TORCHVISION),
    entry("resnet152", ResNet(RESNET152), 224, HE_2015).reaches(78.312, TORCHVISION),
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
        result: None,
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
    const fn reaches(self, top1: f64, conditions: &'static str) -> Self {
        let result = Some(PublishedResult { top1, conditions });
        Self { result, ..self }
    }

    /// `[channels, height, width]` of the images that it was published for.
    pub fn input(&self) -> [usize; 3] {
        [
            self.architecture.channels(),
            self.image_size,
            self.image_size,
        ]
    }
}
