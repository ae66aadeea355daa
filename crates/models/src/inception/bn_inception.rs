//! Inception with batch normalisation.
//!
//! S. Ioffe, C. Szegedy. *Batch Normalization: Accelerating Deep Network Training by Reducing Internal
//! Covariate Shift*. 2015, arXiv:1502.03167. Figure 5:
//!
//! | | output | 1x1 | 3x3 reduce, 3x3 | double 3x3 reduce, twice 3x3 | pool, proj |
//! |---|---|---|---|---|---|
//! | 7x7, 64, stride 2; max pool | 56x56 | | | | |
//! | 1x1, 64; 3x3, 192; max pool | 28x28 | | | | |
//! | 3a | 28x28x256 | 64 | 64, 64 | 64, 96 | mean, 32 |
//! | 3b | 28x28x320 | 64 | 64, 96 | 64, 96 | mean, 64 |
//! | 3c, stride 2 | 14x14x576 | | 128, 160 | 64, 96 | max |
//! | 4a | 14x14x576 | 224 | 64, 96 | 96, 128 | mean, 128 |
//! | 4b | 14x14x576 | 192 | 96, 128 | 96, 128 | mean, 128 |
//! | 4c | 14x14x608 | 160 | 128, 160 | 128, 160 | mean, 128 |
//! | 4d | 14x14x608 | 96 | 128, 192 | 160, 192 | mean, 128 |
//! | 4e, stride 2 | 7x7x1056 | | 128, 192 | 192, 256 | max |
//! | 5a | 7x7x1024 | 352 | 192, 320 | 160, 224 | mean, 128 |
//! | 5b | 7x7x1024 | 352 | 192, 320 | 192, 224 | max, 128 |
//! | mean, linear, softmax | 1 | | | | |
//!
//! `se_inception` gates the channels of each module (J. Hu, L. Shen, G. Sun. *Squeeze-and-Excitation
//! Networks*. 2017, arXiv:1709.01507, figure 2), with reduction 16.
//!
//! # Departures
//!
//! - The outputs of 4c, 4d and 4e are the sums of their branches, as in the weights published for
//!   Caffe; the figure says 576, 576 and 1024, which its columns do not add up to.
//! - The first convolution is an ordinary one; the paper's is separable, with depth multiplier 8.
//! - In 3c and 4e, the max pool is padded as the convolutions are, so that images of any size do.
//! - Weights are He's; the paper does not say how they are drawn. No dropout: section 4.2.1.

use super::module::{
    BranchConfig, Layer, LayerConfig, ModuleConfig, avg_pool, conv, max_pool, strided_conv,
};
use super::{InceptionConfig, Table, Version};
use crate::layers::{MaxPool2d, NormOptions};

/// Figure 5.
pub const BN_INCEPTION: InceptionConfig = InceptionConfig {
    version: Version::BatchNorm,
    reduction: None,
    dropout: 0.0,
    channels: 3,
    classes: 1000,
};
/// Figure 5 with squeeze-and-excitation.
pub const SE_INCEPTION: InceptionConfig = InceptionConfig {
    reduction: Some(16),
    ..BN_INCEPTION
};

/// What a module pools.
#[derive(Clone, Copy)]
enum Pool {
    Mean,
    Max,
}

/// A row of figure 5.
enum Row {
    /// 1x1; 3x3 reduce, 3x3; double 3x3 reduce, twice 3x3; pool, proj.
    Module(usize, [usize; 2], [usize; 2], Pool, usize),
    /// The same at stride 2, without 1x1 and proj.
    Reduction([usize; 2], [usize; 2]),
}

/// Figure 5.
const ROWS: [(&str, Row); 10] = [
    ("3a", Row::Module(64, [64, 64], [64, 96], Pool::Mean, 32)),
    ("3b", Row::Module(64, [64, 96], [64, 96], Pool::Mean, 64)),
    ("3c", Row::Reduction([128, 160], [64, 96])),
    ("4a", Row::Module(224, [64, 96], [96, 128], Pool::Mean, 128)),
    (
        "4b",
        Row::Module(192, [96, 128], [96, 128], Pool::Mean, 128),
    ),
    (
        "4c",
        Row::Module(160, [128, 160], [128, 160], Pool::Mean, 128),
    ),
    (
        "4d",
        Row::Module(96, [128, 192], [160, 192], Pool::Mean, 128),
    ),
    ("4e", Row::Reduction([128, 192], [192, 256])),
    (
        "5a",
        Row::Module(352, [192, 320], [160, 224], Pool::Mean, 128),
    ),
    (
        "5b",
        Row::Module(352, [192, 320], [192, 224], Pool::Max, 128),
    ),
];

pub(super) fn table() -> Table {
    let pool = || LayerConfig::Fixed(Layer::MaxPool(MaxPool2d::new(3, 2, 0).ceil()));
    let stem = vec![
        strided_conv("conv1", 64, [7, 7], 2),
        pool(),
        conv("conv2", 64, [1, 1]),
        conv("conv3", 192, [3, 3]),
        pool(),
    ];
    let modules = ROWS.iter().map(|(place, row)| {
        let name = format!("inception{place}");
        ModuleConfig::new(*place, name, branches(row))
    });
    Table {
        modules: [ModuleConfig::sequence("stem", "", stem)]
            .into_iter()
            .chain(modules)
            .collect(),
        auxiliary: Vec::new(),
        norm: Some(NormOptions::default()),
        classifier: "fc",
    }
}

fn branches(row: &Row) -> Vec<BranchConfig> {
    match *row {
        Row::Module(one, [to3, three], [to_double, double], pool, proj) => {
            let pool = match pool {
                Pool::Mean => avg_pool(true),
                Pool::Max => max_pool(),
            };
            vec![
                vec![conv("branch1", one, [1, 1])],
                single(to3, three, 1),
                twice(to_double, double, 1),
                vec![pool, conv("branch4.1", proj, [1, 1])],
            ]
        }
        Row::Reduction([to3, three], [to_double, double]) => {
            let pool = Layer::MaxPool(MaxPool2d::new(3, 2, 1));
            vec![
                single(to3, three, 2),
                twice(to_double, double, 2),
                vec![LayerConfig::Fixed(pool)],
            ]
        }
    }
}

fn single(reduce: usize, filters: usize, stride: usize) -> BranchConfig {
    vec![
        conv("branch2.0", reduce, [1, 1]),
        strided_conv("branch2.1", filters, [3, 3], stride),
    ]
}

fn twice(reduce: usize, filters: usize, stride: usize) -> BranchConfig {
    vec![
        conv("branch3.0", reduce, [1, 1]),
        conv("branch3.1", filters, [3, 3]),
        strided_conv("branch3.2", filters, [3, 3], stride),
    ]
}
