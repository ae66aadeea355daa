//! Inception-v4.
//!
//! C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi. *Inception-v4, Inception-ResNet and the Impact of
//! Residual Connections on Learning*. 2016, arXiv:1602.07261. Figure 9:
//!
//! | | output |
//! |---|---|
//! | stem (figure 3) | 35x35x384 |
//! | 4 Inception-A (figure 4) | 35x35x384 |
//! | Reduction-A (figure 7), k, l, m, n = 192, 224, 256, 384 | 17x17x1024 |
//! | 7 Inception-B (figure 5) | 17x17x1024 |
//! | Reduction-B (figure 8) | 8x8x1536 |
//! | 3 Inception-C (figure 6) | 8x8x1536 |
//! | mean, 20 % dropout, linear, softmax | 1 |
//!
//! # Departures
//!
//! - As in the authors' published weights, which timm's network loads: the means do not count padding;
//!   in the third branches of figures 5 and 6, the tall kernels come before the wide ones.
//! - Weights are He's, as in the authors' code; the paper does not say how they are drawn. Without
//!   that code's auxiliary classifier, which the paper does not have.

use super::module::{
    BranchConfig, ModuleConfig, avg_pool, conv, fork, reducing_max_pool, valid_conv,
};
use super::{InceptionConfig, TENSORFLOW, Table, Version};

/// Figure 9.
pub const INCEPTION_V4: InceptionConfig = InceptionConfig {
    version: Version::V4,
    reduction: None,
    dropout: 0.2,
    channels: 3,
    classes: 1000,
};

pub(super) fn table() -> Table {
    let stem = vec![
        valid_conv("0", 32, [3, 3], 2),
        valid_conv("1", 32, [3, 3], 1),
        conv("2", 64, [3, 3]),
    ];
    let mut modules = vec![ModuleConfig::sequence("stem", "features", stem)];
    let mut add = |place: String, branches| {
        let name = format!("features.{}", modules.len() + 2);
        modules.push(ModuleConfig::new(place, name, branches));
    };
    add("stem1".to_owned(), stem1());
    add("stem2".to_owned(), stem2());
    add("stem3".to_owned(), stem3());
    (0..4).for_each(|index| add(format!("a{index}"), inception_a()));
    add("reduction_a".to_owned(), reduction_a());
    (0..7).for_each(|index| add(format!("b{index}"), inception_b()));
    add("reduction_b".to_owned(), reduction_b());
    (0..3).for_each(|index| add(format!("c{index}"), inception_c()));
    Table {
        modules,
        auxiliary: Vec::new(),
        norm: Some(TENSORFLOW),
        classifier: "last_linear",
    }
}

/// Figure 3, the first filter concatenation.
fn stem1() -> Vec<BranchConfig> {
    vec![
        vec![reducing_max_pool()],
        vec![valid_conv("conv", 96, [3, 3], 2)],
    ]
}

/// Figure 3, the second.
fn stem2() -> Vec<BranchConfig> {
    vec![
        vec![
            conv("branch0.0", 64, [1, 1]),
            valid_conv("branch0.1", 96, [3, 3], 1),
        ],
        vec![
            conv("branch1.0", 64, [1, 1]),
            conv("branch1.1", 64, [1, 7]),
            conv("branch1.2", 64, [7, 1]),
            valid_conv("branch1.3", 96, [3, 3], 1),
        ],
    ]
}

/// Figure 3, the third.
fn stem3() -> Vec<BranchConfig> {
    vec![
        vec![valid_conv("conv", 192, [3, 3], 2)],
        vec![reducing_max_pool()],
    ]
}

/// Figure 4.
fn inception_a() -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", 96, [1, 1])],
        vec![conv("branch1.0", 64, [1, 1]), conv("branch1.1", 96, [3, 3])],
        vec![
            conv("branch2.0", 64, [1, 1]),
            conv("branch2.1", 96, [3, 3]),
            conv("branch2.2", 96, [3, 3]),
        ],
        vec![avg_pool(false), conv("branch3.1", 96, [1, 1])],
    ]
}

/// Figure 7.
fn reduction_a() -> Vec<BranchConfig> {
    vec![
        vec![valid_conv("branch0", 384, [3, 3], 2)],
        vec![
            conv("branch1.0", 192, [1, 1]),
            conv("branch1.1", 224, [3, 3]),
            valid_conv("branch1.2", 256, [3, 3], 2),
        ],
        vec![reducing_max_pool()],
    ]
}

/// Figure 5.
fn inception_b() -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", 384, [1, 1])],
        vec![
            conv("branch1.0", 192, [1, 1]),
            conv("branch1.1", 224, [1, 7]),
            conv("branch1.2", 256, [7, 1]),
        ],
        vec![
            conv("branch2.0", 192, [1, 1]),
            conv("branch2.1", 192, [7, 1]),
            conv("branch2.2", 224, [1, 7]),
            conv("branch2.3", 224, [7, 1]),
            conv("branch2.4", 256, [1, 7]),
        ],
        vec![avg_pool(false), conv("branch3.1", 128, [1, 1])],
    ]
}

/// Figure 8.
fn reduction_b() -> Vec<BranchConfig> {
    vec![
        vec![
            conv("branch0.0", 192, [1, 1]),
            valid_conv("branch0.1", 192, [3, 3], 2),
        ],
        vec![
            conv("branch1.0", 256, [1, 1]),
            conv("branch1.1", 256, [1, 7]),
            conv("branch1.2", 320, [7, 1]),
            valid_conv("branch1.3", 320, [3, 3], 2),
        ],
        vec![reducing_max_pool()],
    ]
}

/// Figure 6.
fn inception_c() -> Vec<BranchConfig> {
    vec![
        vec![conv("branch0", 256, [1, 1])],
        vec![
            conv("branch1_0", 384, [1, 1]),
            fork("branch1_1a", "branch1_1b", 256),
        ],
        vec![
            conv("branch2_0", 384, [1, 1]),
            conv("branch2_1", 448, [3, 1]),
            conv("branch2_2", 512, [1, 3]),
            fork("branch2_3a", "branch2_3b", 256),
        ],
        vec![avg_pool(false), conv("branch3.1", 256, [1, 1])],
    ]
}
