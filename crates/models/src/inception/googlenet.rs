//! GoogLeNet.
//!
//! C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke,
//! A. Rabinovich. *Going Deeper with Convolutions*. 2014, arXiv:1409.4842. Table 1:
//!
//! | | output | 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool proj |
//! |---|---|---|---|---|---|
//! | 7x7, 64, stride 2; max pool | 56x56 | | | | |
//! | 1x1, 64; 3x3, 192; max pool | 28x28 | | | | |
//! | 3a | 28x28x256 | 64 | 96, 128 | 16, 32 | 32 |
//! | 3b | 28x28x480 | 128 | 128, 192 | 32, 96 | 64 |
//! | max pool; 4a | 14x14x512 | 192 | 96, 208 | 16, 48 | 64 |
//! | 4b | 14x14x512 | 160 | 112, 224 | 24, 64 | 64 |
//! | 4c | 14x14x512 | 128 | 128, 256 | 24, 64 | 64 |
//! | 4d | 14x14x528 | 112 | 144, 288 | 32, 64 | 64 |
//! | 4e | 14x14x832 | 256 | 160, 320 | 32, 128 | 128 |
//! | max pool; 5a | 7x7x832 | 256 | 160, 320 | 32, 128 | 128 |
//! | 5b | 7x7x1024 | 384 | 192, 384 | 48, 128 | 128 |
//! | mean, 40 % dropout, linear, softmax | 1 | | | | |
//!
//! Pools are 3x3 at stride 2. In training, two more classifiers look at 4a and 4d, with 0.3 of the
//! loss each: 5x5 means at stride 3, 1x1 to 128 channels, 1024 features, 70 % dropout, linear.
//!
//! # Departures
//!
//! - `googlenet` is torchvision's: batch normalisation (epsilon 0.001) in place of local response
//!   normalisation, 3x3 in place of 5x5, 2x2 windows in the last max pool, adaptive 4x4 means before
//!   the auxiliary classifiers, 20 % dropout. What torchvision calls `transform_input` belongs to the
//!   preprocessing, and is not part of the network. torchvision cuts its Gaussian at 200 standard
//!   deviations, which no draw reaches; biases of linear layers are zero here.
//! - `googlenet2014` has the constants of Krizhevsky et al. 2012 in its local response
//!   normalisations, which stand where the paper's figure 3 has them: the paper names none.
//!   Its weights are Glorot's: the paper does not say how they are drawn.
//! - For images of other sizes than 224x224, the auxiliary classifiers of `googlenet2014` pool once
//!   more, to 4x4.
//! - `inception_naive` is no network of the paper's: it is `googlenet2014` of the modules of figure
//!   2(a), which have no reductions, nor a convolution behind the pool.

use super::module::{BranchConfig, Layer, LayerConfig, ModuleConfig, conv, max_pool, strided_conv};
use super::{AuxiliaryConfig, DEVIATION, InceptionConfig, TENSORFLOW, Table, Version};
use crate::layers::{AdaptiveAvgPool2d, AvgPool2d, LocalResponseNorm, MaxPool2d};

/// torchvision's form.
pub const GOOGLENET: InceptionConfig = InceptionConfig {
    version: Version::GoogLeNet,
    reduction: None,
    dropout: 0.2,
    channels: 3,
    classes: 1000,
};
/// Table 1.
pub const GOOGLENET2014: InceptionConfig = InceptionConfig {
    version: Version::GoogLeNet2014,
    dropout: 0.4,
    ..GOOGLENET
};
/// Table 1 without its reductions.
pub const INCEPTION_NAIVE: InceptionConfig = InceptionConfig {
    version: Version::Naive,
    ..GOOGLENET2014
};

/// Table 1: the module; 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool proj.
const MODULES: [(&str, [usize; 6]); 9] = [
    ("3a", [64, 96, 128, 16, 32, 32]),
    ("3b", [128, 128, 192, 32, 96, 64]),
    ("4a", [192, 96, 208, 16, 48, 64]),
    ("4b", [160, 112, 224, 24, 64, 64]),
    ("4c", [128, 128, 256, 24, 64, 64]),
    ("4d", [112, 144, 288, 32, 64, 64]),
    ("4e", [256, 160, 320, 32, 128, 128]),
    ("5a", [256, 160, 320, 32, 128, 128]),
    ("5b", [384, 192, 384, 48, 128, 128]),
];
/// The modules behind a max pool.
const POOLED: [&str; 2] = ["4a", "5a"];

pub(super) fn torchvision() -> Table {
    let pool = |kernel| LayerConfig::Fixed(Layer::MaxPool(MaxPool2d::new(kernel, 2, 0).ceil()));
    let stem = vec![
        strided_conv("conv1", 64, [7, 7], 2),
        pool(3),
        conv("conv2", 64, [1, 1]),
        conv("conv3", 192, [3, 3]),
        pool(3),
    ];
    Table {
        modules: modules(stem, [pool(3), pool(2)], |row| reduced(row, 3)),
        auxiliary: auxiliary(&[Layer::AdaptiveAvgPool(AdaptiveAvgPool2d::new(4))]),
        norm: Some(TENSORFLOW),
        classifier: "fc",
    }
}

pub(super) fn paper() -> Table {
    without_norm(|row| reduced(row, 5))
}

pub(super) fn naive() -> Table {
    without_norm(unreduced)
}

/// Figure 3.
fn without_norm(module: impl Fn([usize; 6]) -> Vec<BranchConfig>) -> Table {
    let pool = || LayerConfig::Fixed(Layer::MaxPool(MaxPool2d::new(3, 2, 0).ceil()));
    let norm = || {
        let norm = LocalResponseNorm::new(LocalResponseNorm::KRIZHEVSKY);
        LayerConfig::Fixed(Layer::ResponseNorm(norm))
    };
    let stem = vec![
        strided_conv("conv1", 64, [7, 7], 2),
        pool(),
        norm(),
        conv("conv2", 64, [1, 1]),
        conv("conv3", 192, [3, 3]),
        norm(),
        pool(),
    ];
    let means = [
        Layer::AvgPool(AvgPool2d::new(5, 3)),
        Layer::AdaptiveAvgPool(AdaptiveAvgPool2d::new(4)),
    ];
    Table {
        modules: modules(stem, [pool(), pool()], module),
        auxiliary: auxiliary(&means),
        norm: None,
        classifier: "fc",
    }
}

/// The stem and table 1, of which the modules in `POOLED` come behind `pools`.
fn modules(
    stem: BranchConfig,
    pools: [LayerConfig; 2],
    module: impl Fn([usize; 6]) -> Vec<BranchConfig>,
) -> Vec<ModuleConfig> {
    let mut modules = vec![ModuleConfig::sequence("stem", "", stem)];
    for (place, row) in MODULES {
        if let Some(index) = POOLED.iter().position(|pooled| *pooled == place) {
            let pool = vec![pools[index].clone()];
            let before = format!("pool{}", index + 3);
            modules.push(ModuleConfig::sequence(&before, "", pool));
        }
        let name = format!("inception{place}");
        modules.push(ModuleConfig::new(place, name, module(row)));
    }
    modules
}

/// Figure 2(b), with `large` for its 5x5.
fn reduced([one, to3, three, to5, five, pool]: [usize; 6], large: usize) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch1", one, [1, 1])],
        vec![
            conv("branch2.0", to3, [1, 1]),
            conv("branch2.1", three, [3, 3]),
        ],
        vec![
            conv("branch3.0", to5, [1, 1]),
            conv("branch3.1", five, [large, large]),
        ],
        vec![max_pool(), conv("branch4.1", pool, [1, 1])],
    ]
}

/// Figure 2(a).
fn unreduced([one, _, three, _, five, _]: [usize; 6]) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch1", one, [1, 1])],
        vec![conv("branch2", three, [3, 3])],
        vec![conv("branch3", five, [5, 5])],
        vec![max_pool()],
    ]
}

/// Section 5: behind `means`, which give 4x4 pixels.
fn auxiliary(means: &[Layer]) -> Vec<AuxiliaryConfig> {
    let classifier = |place, name| AuxiliaryConfig {
        place,
        name,
        features: (means.iter().cloned().map(LayerConfig::Fixed))
            .chain([conv("conv", 128, [1, 1])])
            .collect(),
        pixels: 4 * 4,
        hidden: Some((1024, 0.7)),
        deviation: DEVIATION,
        weight: 0.3,
    };
    vec![classifier("4a", "aux1"), classifier("4d", "aux2")]
}
