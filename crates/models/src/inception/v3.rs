//! Inception-v3.
//!
//! C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna. *Rethinking the Inception Architecture for
//! Computer Vision*. 2015, arXiv:1512.00567. Table 1, with the modules that the authors published:
//!
//! | | output |
//! |---|---|
//! | 3x3, 32, stride 2; 3x3, 32; padded 3x3, 64 | 147x147 |
//! | max pool; 1x1, 80; 3x3, 192; max pool | 35x35 |
//! | 5b, 5c, 5d: 1x1, 5x5, twice 3x3, mean (figure 5) | 35x35x288 |
//! | 6a, stride 2: 3x3, twice 3x3, max | 17x17x768 |
//! | 6b, 6c, 6d, 6e: 1x1, 1x7 and 7x1, the same twice, mean (figure 6), of 128, 160, 160, 192 | 17x17x768 |
//! | 7a, stride 2: 3x3, 1x7 and 7x1 and 3x3, max | 8x8x1280 |
//! | 7b, 7c: 1x1, 1x3 beside 3x1, 3x3 before them, mean (figure 7) | 8x8x2048 |
//! | mean, dropout, linear, softmax | 1 |
//!
//! Layers without "padded" or a module's name, and those of stride 2, are not padded. In training, one
//! more classifier looks at 6e.
//!
//! # Departures
//!
//! - As torchvision's, after the authors' code: between the first pool and 5b there are 1x1, 3x3 and
//!   a pool, where table 1 has three 3x3 convolutions. 50 % dropout; the paper names none. What
//!   torchvision calls `transform_input` belongs to the preprocessing, and is not part of the
//!   network.
//! - Images below 299x299 are refused: the auxiliary classifier does not fit 6e then.
//! - The auxiliary classifier's loss counts 0.4 times, as in the authors' code; the paper does not
//!   say.
//! - Weights are torchvision's: normal with deviation 0.1 (the auxiliary classifier's last
//!   convolution 0.01, its linear layer 0.001). It cuts them at 2, twenty deviations away, which no
//!   draw reaches. Biases of linear layers are zero.

use super::module::{
    BranchConfig, Layer, LayerConfig, ModuleConfig, avg_pool, conv, fork, reducing_max_pool,
    valid_conv,
};
use super::{AuxiliaryConfig, InceptionConfig, TENSORFLOW, Table, Version};
use crate::layers::{AdaptiveAvgPool2d, AvgPool2d};

/// torchvision's form.
pub const INCEPTION_V3: InceptionConfig = InceptionConfig {
    version: Version::V3,
    reduction: None,
    dropout: 0.5,
    channels: 3,
    classes: 1000,
};

pub(super) fn table() -> Table {
    let stem = vec![
        valid_conv("Conv2d_1a_3x3", 32, [3, 3], 2),
        valid_conv("Conv2d_2a_3x3", 32, [3, 3], 1),
        conv("Conv2d_2b_3x3", 64, [3, 3]),
        reducing_max_pool(),
        valid_conv("Conv2d_3b_1x1", 80, [1, 1], 1),
        valid_conv("Conv2d_4a_3x3", 192, [3, 3], 1),
        reducing_max_pool(),
    ];
    let mixed =
        |place: &str, branches| ModuleConfig::new(place, format!("Mixed_{place}"), branches);
    Table {
        modules: vec![
            ModuleConfig::sequence("stem", "", stem),
            mixed("5b", figure5(32)),
            mixed("5c", figure5(64)),
            mixed("5d", figure5(64)),
            mixed("6a", to_17()),
            mixed("6b", figure6(128)),
            mixed("6c", figure6(160)),
            mixed("6d", figure6(160)),
            mixed("6e", figure6(192)),
            mixed("7a", to_8()),
            mixed("7b", figure7()),
            mixed("7c", figure7()),
        ],
        auxiliary: vec![auxiliary()],
        norm: Some(TENSORFLOW),
        classifier: "fc",
    }
}

fn figure5(pooled: usize) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch1x1", 64, [1, 1])],
        vec![
            conv("branch5x5_1", 48, [1, 1]),
            conv("branch5x5_2", 64, [5, 5]),
        ],
        vec![
            conv("branch3x3dbl_1", 64, [1, 1]),
            conv("branch3x3dbl_2", 96, [3, 3]),
            conv("branch3x3dbl_3", 96, [3, 3]),
        ],
        vec![avg_pool(true), conv("branch_pool", pooled, [1, 1])],
    ]
}

fn to_17() -> Vec<BranchConfig> {
    vec![
        vec![valid_conv("branch3x3", 384, [3, 3], 2)],
        vec![
            conv("branch3x3dbl_1", 64, [1, 1]),
            conv("branch3x3dbl_2", 96, [3, 3]),
            valid_conv("branch3x3dbl_3", 96, [3, 3], 2),
        ],
        vec![reducing_max_pool()],
    ]
}

fn figure6(width: usize) -> Vec<BranchConfig> {
    vec![
        vec![conv("branch1x1", 192, [1, 1])],
        vec![
            conv("branch7x7_1", width, [1, 1]),
            conv("branch7x7_2", width, [1, 7]),
            conv("branch7x7_3", 192, [7, 1]),
        ],
        vec![
            conv("branch7x7dbl_1", width, [1, 1]),
            conv("branch7x7dbl_2", width, [7, 1]),
            conv("branch7x7dbl_3", width, [1, 7]),
            conv("branch7x7dbl_4", width, [7, 1]),
            conv("branch7x7dbl_5", 192, [1, 7]),
        ],
        vec![avg_pool(true), conv("branch_pool", 192, [1, 1])],
    ]
}

fn to_8() -> Vec<BranchConfig> {
    vec![
        vec![
            conv("branch3x3_1", 192, [1, 1]),
            valid_conv("branch3x3_2", 320, [3, 3], 2),
        ],
        vec![
            conv("branch7x7x3_1", 192, [1, 1]),
            conv("branch7x7x3_2", 192, [1, 7]),
            conv("branch7x7x3_3", 192, [7, 1]),
            valid_conv("branch7x7x3_4", 192, [3, 3], 2),
        ],
        vec![reducing_max_pool()],
    ]
}

fn figure7() -> Vec<BranchConfig> {
    vec![
        vec![conv("branch1x1", 320, [1, 1])],
        vec![
            conv("branch3x3_1", 384, [1, 1]),
            fork("branch3x3_2a", "branch3x3_2b", 384),
        ],
        vec![
            conv("branch3x3dbl_1", 448, [1, 1]),
            conv("branch3x3dbl_2", 384, [3, 3]),
            fork("branch3x3dbl_3a", "branch3x3dbl_3b", 384),
        ],
        vec![avg_pool(true), conv("branch_pool", 192, [1, 1])],
    ]
}

/// Section 4, figure 8.
fn auxiliary() -> AuxiliaryConfig {
    AuxiliaryConfig {
        place: "6e",
        name: "AuxLogits",
        features: vec![
            LayerConfig::Fixed(Layer::AvgPool(AvgPool2d::new(5, 3))),
            conv("conv0", 128, [1, 1]),
            valid_conv("conv1", 768, [5, 5], 1).deviation(0.01),
            LayerConfig::Fixed(Layer::AdaptiveAvgPool(AdaptiveAvgPool2d::new(1))),
        ],
        pixels: 1,
        hidden: None,
        deviation: 0.001,
        weight: 0.4,
    }
}
