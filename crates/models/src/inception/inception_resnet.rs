//! Inception-ResNet.
//!
//! C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi. *Inception-v4, Inception-ResNet and the Impact of
//! Residual Connections on Learning*. 2016, arXiv:1602.07261. Figure 15:
//!
//! | | v1 | v2 |
//! |---|---|---|
//! | stem | figure 14, 35x35x256 | below, 35x35x320 |
//! | Inception-ResNet-A, 35x35 | 5 of figure 10 | 10 of figure 16 |
//! | Reduction-A (figure 7): k, l, m, n | 192, 192, 256, 384 | 256, 256, 384, 384 |
//! | Inception-ResNet-B, 17x17 | 10 of figure 11, 896 | 20 of figure 17, 1088 |
//! | Reduction-B, 8x8 | figure 12, 1792 | figure 18, 2080 |
//! | Inception-ResNet-C, 8x8 | 5 of figure 13 | 10 of figure 19 |
//! | 1x1 | | 1536 |
//! | mean, 20 % dropout, linear, softmax | | |
//!
//! # Departures
//!
//! - `inception_resnet_v2` is that of the authors' published weights, which timm's network loads: it
//!   has Inception-v3's stem and a module of figure 5 of that paper in place of Inception-v4's stem,
//!   twice as many blocks, 320, 1088 and 2080 channels where the figures say 384, 1154 and 2048,
//!   neither ReLU nor scale behind the last block, and a 1x1 convolution before the means.
//! - Residuals are scaled by 0.17, 0.10 and 0.20 in A, B and C, as in those weights; the paper gives
//!   0.1 to 0.3 (section 3.3).
//! - Weights are He's, as in the authors' code; the paper does not say how they are drawn. Without
//!   that code's auxiliary classifier, which the paper does not have.

use super::module::{
    BranchConfig, ModuleConfig, ResidualConfig, avg_pool, conv, reducing_max_pool, valid_conv,
};
use super::{InceptionConfig, TENSORFLOW, Table, Version};

/// Figure 15 with figures 10 to 14.
pub const INCEPTION_RESNET_V1: InceptionConfig = InceptionConfig {
    version: Version::ResNetV1,
    reduction: None,
    dropout: 0.2,
    channels: 3,
    classes: 1000,
};
/// The authors' form.
pub const INCEPTION_RESNET_V2: InceptionConfig = InceptionConfig {
    version: Version::ResNetV2,
    ..INCEPTION_RESNET_V1
};

/// Of the residuals of A, B and C.
const SCALES: [f64; 3] = [0.17, 0.10, 0.20];

pub(super) fn v1() -> Table {
    let mut stem = stem();
    // Figure 14 ends in a convolution where Inception-v3 pools.
    stem.pop();
    stem.push(valid_conv("conv2d_4b", 256, [3, 3], 2));
    let [scale_a, scale_b, scale_c] = SCALES;
    let mut modules = vec![ModuleConfig::sequence("stem", "", stem)];
    modules.extend((0..5).map(|i| residual("a", "repeat", i, scale_a, block35(32, 32))));
    modules.push(ModuleConfig::new(
        "reduction_a",
        "mixed_6a",
        reduction_a([192, 192, 256, 384]),
    ));
    let b = || block17([128, 128, 128, 128]);
    modules.extend((0..10).map(|i| residual("b", "repeat_1", i, scale_b, b())));
    modules.push(ModuleConfig::new(
        "reduction_b",
        "mixed_7a",
        reduction_b([384, 256, 256, 256]),
    ));
    let c = || block8([192, 192, 192, 192]);
    modules.extend((0..5).map(|i| residual("c", "repeat_2", i, scale_c, c())));
    Table {
        modules,
        auxiliary: Vec::new(),
        norm: Some(TENSORFLOW),
        classifier: "classif",
    }
}

pub(super) fn v2() -> Table {
    let [scale_a, scale_b, scale_c] = SCALES;
    let mut modules = vec![
        ModuleConfig::sequence("stem", "", stem()),
        ModuleConfig::new("5b", "mixed_5b", mixed_5b()),
    ];
    modules.extend((0..10).map(|i| residual("a", "repeat", i, scale_a, block35(48, 64))));
    modules.push(ModuleConfig::new(
        "reduction_a",
        "mixed_6a",
        reduction_a([256, 256, 384, 384]),
    ));
    let b = || block17([192, 128, 160, 192]);
    modules.extend((0..20).map(|i| residual("b", "repeat_1", i, scale_b, b())));
    modules.push(ModuleConfig::new(
        "reduction_b",
        "mixed_7a",
        reduction_b([384, 288, 288, 320]),
    ));
    let c = || block8([192, 192, 224, 256]);
    modules.extend((0..9).map(|i| residual("c", "repeat_2", i, scale_c, c())));
    modules.push(ModuleConfig {
        residual: Some(ResidualConfig {
            scale: 1.0,
            rectifies: false,
        }),
        ..ModuleConfig::new("c9", "block8", c())
    });
    let last = vec![conv("conv2d_7b", 1536, [1, 1])];
    modules.push(ModuleConfig::sequence("last", "", last));
    Table {
        modules,
        auxiliary: Vec::new(),
        norm: Some(TENSORFLOW),
        classifier: "classif",
    }
}

fn residual(
    place: &str,
    name: &str,
    index: usize,
    scale: f64,
    branches: Vec<BranchConfig>,
) -> ModuleConfig {
    ModuleConfig {
        residual: Some(ResidualConfig {
            scale,
            rectifies: true,
        }),
        ..ModuleConfig::new(
            format!("{place}{index}"),
            format!("{name}.{index}"),
            branches,
        )
    }
}

/// Inception-v3's, whose first layers are those of figure 14.
fn stem() -> BranchConfig {
    vec![
        valid_conv("conv2d_1a", 32, [3, 3], 2),
        valid_conv("conv2d_2a", 32, [3, 3], 1),
        conv("conv2d_2b", 64, [3, 3]),
        reducing_max_pool(),
        conv("conv2d_3b", 80, [1, 1]),
        valid_conv("conv2d_4a", 192, [3, 3], 1),
        reducing_max_pool(),
    ]
}

fn mixed_5b() -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", 96, [1, 1])],
        vec![conv("branch1.0", 48, [1, 1]), conv("branch1.1", 64, [5, 5])],
        vec![
            conv("branch2.0", 64, [1, 1]),
            conv("branch2.1", 96, [3, 3]),
            conv("branch2.2", 96, [3, 3]),
        ],
        vec![avg_pool(false), conv("branch3.1", 64, [1, 1])],
    ]
}

/// Figures 10 and 16, with the widths of the third branch's 3x3.
fn block35(middle: usize, last: usize) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", 32, [1, 1])],
        vec![conv("branch1.0", 32, [1, 1]), conv("branch1.1", 32, [3, 3])],
        vec![
            conv("branch2.0", 32, [1, 1]),
            conv("branch2.1", middle, [3, 3]),
            conv("branch2.2", last, [3, 3]),
        ],
    ]
}

/// Figure 7.
fn reduction_a([k, l, m, n]: [usize; 4]) -> Vec<BranchConfig> {
    vec![
        vec![valid_conv("branch0", n, [3, 3], 2)],
        vec![
            conv("branch1.0", k, [1, 1]),
            conv("branch1.1", l, [3, 3]),
            valid_conv("branch1.2", m, [3, 3], 2),
        ],
        vec![reducing_max_pool()],
    ]
}

/// Figures 11 and 17: 1x1 beside 1x1, 1x7, 7x1.
fn block17([beside, one, across, down]: [usize; 4]) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", beside, [1, 1])],
        vec![
            conv("branch1.0", one, [1, 1]),
            conv("branch1.1", across, [1, 7]),
            conv("branch1.2", down, [7, 1]),
        ],
    ]
}

/// Figures 12 and 18: the first branch's 3x3, the second's, the third's two.
fn reduction_b([first, second, third, last]: [usize; 4]) -> Vec<BranchConfig> {
    vec![
        vec![
            conv("branch0.0", 256, [1, 1]),
            valid_conv("branch0.1", first, [3, 3], 2),
        ],
        vec![
            conv("branch1.0", 256, [1, 1]),
            valid_conv("branch1.1", second, [3, 3], 2),
        ],
        vec![
            conv("branch2.0", 256, [1, 1]),
            conv("branch2.1", third, [3, 3]),
            valid_conv("branch2.2", last, [3, 3], 2),
        ],
        vec![reducing_max_pool()],
    ]
}

/// Figures 13 and 19: 1x1 beside 1x1, 1x3, 3x1.
fn block8([beside, one, across, down]: [usize; 4]) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", beside, [1, 1])],
        vec![
            conv("branch1.0", one, [1, 1]),
            conv("branch1.1", across, [1, 3]),
            conv("branch1.2", down, [3, 1]),
        ],
    ]
}
