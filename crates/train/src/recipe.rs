//! A recipe: what the user wrote, checked as far as that is possible without data.
//!
//! Nothing that changes a result has a hidden default: a transform or a regulariser that is not there is off.

mod optimizer;
mod schedule;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Not;
use std::path::{Path, PathBuf};

use burn::tensor::FloatDType;
use clap::ValueEnum;
use data::{Fill, Interpolation, OnBadImage, PaddingMode, Policy};
use models::layers::{Manipulation, NormKind, RectifierKind};
use models::resnet::{BottleneckStride, ShortcutKind};
use models::{Architecture, ConfigError, Initialization, registry};
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::optimizer::{
    Adamw, Betas, Lamb, Optimizer, ParameterGroup, ParameterKind, Rmsprop, RmspropVariant, Sgd,
};
pub use self::schedule::{
    Constant, Cosine, Exponential, Milestones, Plateau, Polynomial, Schedule, Step, WarmUp,
    WarmUpShape,
};
use crate::bounds;
use crate::configs::{self, ConfigFile};
use crate::datasets;
use crate::decode::decode;
use crate::document::Node;
use crate::duration::Duration;
use crate::error::Error;
use crate::fault::Fault;
use crate::network;
use crate::overrides;
use crate::suggest;

/// An experiment as a TOML file says it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own, with its own meaning"
)]
pub struct Recipe {
    /// The network.
    pub model: Model,
    /// The images.
    pub dataset: Dataset,
    /// Images a step, all devices and micro-batches together.
    #[serde(deserialize_with = "bounds::positive")]
    pub batch: usize,
    /// The length of the run.
    pub length: Duration,
    /// Of initial weights, order and augmentation.
    #[serde(default)]
    pub seed: u64,
    /// Trained weights to start from in place of random ones.
    #[serde(default)]
    pub init: Option<Init>,
    /// Parts of the network that stay as they are.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// How random weights are drawn; without it as the paper of the model's family says.
    #[serde(default)]
    pub initialization: Option<Initialization>,
    /// Whether each epoch has its own random order.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Whether the last batch of an epoch is left out where it would be short.
    #[serde(default)]
    pub drop_last: bool,
    /// Micro-batches that a step's batch is cut into; their gradients are averaged. Divides `batch`.
    #[serde(default = "one", deserialize_with = "bounds::positive")]
    pub accumulate: usize,
    /// What training computes in.
    #[serde(default)]
    pub precision: Precision,
    /// Whether batch normalisation in training takes the statistics of the whole batch where several processes share it,
    /// rather than each of its own images.
    #[serde(default)]
    pub sync_bn: bool,
    /// Whether a training step keeps only what goes into the network's blocks, and computes the rest again in the
    /// backward pass: less memory, more time.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Residual blocks that each micro-batch goes through, drawn anew for each and weighted to stand for all; it goes around
    /// the others by their shortcuts. Without it, all.
    #[serde(default, deserialize_with = "bounds::some_positive")]
    pub sampled_blocks: Option<usize>,
    /// The largest global norm of the gradient; a longer one is scaled down to it.
    #[serde(default, deserialize_with = "bounds::some_above_zero")]
    pub clip_norm: Option<f64>,
    /// What is done where an image's file cannot be read.
    #[serde(default)]
    pub on_bad_image: OnBadImage,
    /// Images that are held out of training to choose the best checkpoint.
    #[serde(default)]
    pub validation: Option<Validation>,
    /// An exponential moving average of the weights.
    #[serde(default)]
    pub ema: Option<Ema>,
    /// Slow weights that training goes on from again and again.
    #[serde(default)]
    pub lookahead: Option<Lookahead>,
    /// A first convolution that whitens patches of the training images.
    #[serde(default)]
    pub whiten: Option<Whiten>,
    /// The rule of an update.
    pub optimizer: Optimizer,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// The training loss.
    #[serde(default)]
    pub loss: Loss,
    /// What the journal holds.
    #[serde(default)]
    pub log: Log,
    /// When the run's state is saved.
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// When the test and validation splits are evaluated.
    #[serde(default)]
    pub eval: Evaluation,
    /// What is done to each image.
    #[serde(default)]
    pub augment: Augment,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

/// What training computes in: with 16 bits, convolutions and products in these, and statistics, losses, weights and updates
/// in 32 (Micikevicius et al. 2017, arXiv:1710.03740). Evaluation is in 32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits of smaller range: the loss is scaled, and an update whose gradients overflow is left out.
    F16,
}

impl Precision {
    /// Burn's name of it.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        *self == Self::F32
    }
}

/// A network by its name in the registry, with what may be varied: `"resnet20"` or `{ name = "resnet20", shortcut = "B" }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Model {
    /// As `train list` shows it.
    pub name: String,
    /// In place of the registry's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<ShortcutKind>,
    /// What is done to the shortcuts; without it, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manipulation: Option<Manipulation>,
    /// In place of the registry's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<NormKind>,
    /// In place of ReLU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<RectifierKind>,
    /// In place of the registry's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck_stride: Option<BottleneckStride>,
    /// The probability of dropout, in place of the registry's choice.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::some_below_one"
    )]
    pub dropout: Option<f64>,
    /// The probability that the path of the last block is dropped, in place of the registry's choice.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::some_below_one"
    )]
    pub stochastic_depth: Option<f64>,
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// A model that is written as a table.
#[derive(Deserialize)]
#[serde(transparent)]
struct ModelTable(#[serde(with = "Model")] Model);

/// The network as the registry has it.
impl From<String> for Model {
    fn from(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }
}

impl From<ModelTable> for Model {
    fn from(ModelTable(model): ModelTable) -> Self {
        model
    }
}

/// The weights that a run starts from: `"resnet50.pth"`, or a table
/// `{ weights = "vgg11.pth", model = "vgg11", only = ["stage1", "fc1"] }`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Init {
    /// The file.
    pub weights: PathBuf,
    /// The network that they are of, as `train list` shows it; without it the one that the file
    /// names, else the recipe's own.
    #[serde(default)]
    pub model: Option<String>,
    /// The parts that start from them, the rest being drawn; without it all.
    #[serde(default)]
    pub only: Option<Vec<String>>,
}

/// Weights that are written as a table.
#[derive(Deserialize)]
#[serde(transparent)]
struct InitTable(#[serde(with = "Init")] Init);

/// All of a file.
impl From<String> for Init {
    fn from(weights: String) -> Self {
        Self {
            weights: weights.into(),
            ..Self::default()
        }
    }
}

impl From<InitTable> for Init {
    fn from(InitTable(init): InitTable) -> Self {
        init
    }
}

/// Where the images come from: `"cifar10"`, or a table with one of these keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "DatasetTable")]
pub enum Dataset {
    /// A dataset with a manifest.
    Name(String),
    /// Safetensors files with `images` (f32, NCHW) and `labels` (i64), fed as they are.
    Tensors {
        /// The training split.
        train: PathBuf,
        /// The test split; without it there is no evaluation.
        test: Option<PathBuf>,
    },
    /// A folder with files in MNIST's layout.
    Idx(PathBuf),
    /// A folder with one folder a class under `train` and `test`.
    Folder(PathBuf),
    /// A folder of WebDataset shards.
    Shards(PathBuf),
    /// A folder with the archives of ILSVRC 2012.
    Ilsvrc(PathBuf),
}

impl Dataset {
    /// The same with other paths.
    pub fn with_paths(&self, changed: impl Fn(&Path) -> PathBuf) -> Self {
        match self {
            Self::Name(name) => Self::Name(name.clone()),
            Self::Tensors { train, test } => Self::Tensors {
                train: changed(train),
                test: test.as_deref().map(changed),
            },
            Self::Idx(path) => Self::Idx(changed(path)),
            Self::Folder(path) => Self::Folder(changed(path)),
            Self::Shards(path) => Self::Shards(changed(path)),
            Self::Ilsvrc(path) => Self::Ilsvrc(changed(path)),
        }
    }

    /// What the dataset is called: its name, or where it lies.
    pub fn title(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Tensors { train: path, .. }
            | Self::Idx(path)
            | Self::Folder(path)
            | Self::Shards(path)
            | Self::Ilsvrc(path) => path.display().to_string(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idx: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ilsvrc: Option<PathBuf>,
}

impl From<Dataset> for DatasetTable {
    fn from(dataset: Dataset) -> Self {
        match dataset {
            Dataset::Name(name) => Self {
                name: Some(name),
                ..Self::default()
            },
            Dataset::Tensors { train, test } => Self {
                tensors: Some(train),
                test,
                ..Self::default()
            },
            Dataset::Idx(idx) => Self {
                idx: Some(idx),
                ..Self::default()
            },
            Dataset::Folder(folder) => Self {
                folder: Some(folder),
                ..Self::default()
            },
            Dataset::Shards(shards) => Self {
                shards: Some(shards),
                ..Self::default()
            },
            Dataset::Ilsvrc(ilsvrc) => Self {
                ilsvrc: Some(ilsvrc),
                ..Self::default()
            },
        }
    }
}

impl From<String> for Dataset {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl TryFrom<DatasetTable> for Dataset {
    type Error = &'static str;

    fn try_from(table: DatasetTable) -> Result<Self, Self::Error> {
        let DatasetTable {
            name,
            tensors,
            test,
            idx,
            folder,
            shards,
            ilsvrc,
        } = table;
        let is_test_alone = test.is_some() && tensors.is_none();
        let given = [
            name.map(Dataset::Name),
            tensors.map(|train| Dataset::Tensors { train, test }),
            idx.map(Dataset::Idx),
            folder.map(Dataset::Folder),
            shards.map(Dataset::Shards),
            ilsvrc.map(Dataset::Ilsvrc),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(dataset), None) if !is_test_alone => Ok(dataset),
            _ => Err(
                "expected exactly one of `name`, `tensors` (which may have `test`), `idx`, `folder`, `shards` and `ilsvrc`",
            ),
        }
    }
}

/// The end of the training set, held out of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// How many.
    #[serde(deserialize_with = "bounds::positive")]
    pub images: usize,
}

/// An exponential moving average of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// What an update keeps of the average.
    #[serde(deserialize_with = "bounds::below_one")]
    pub decay: f64,
}

/// Lookahead: every so often, the network goes on from slow weights that follow it (M. Zhang et al. 2019, arXiv:1907.08610).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookahead {
    /// From one update of the slow weights to the next.
    pub every: Duration,
    /// What they would keep of themselves over each update of the network at the end of the run.
    #[serde(deserialize_with = "bounds::below_one")]
    pub decay: f64,
    /// Of the share of the run that is over, by which that is less; 0 is no less.
    #[serde(deserialize_with = "bounds::zero_or_more")]
    pub power: f64,
}

/// The first convolution's filters, two for each value of a patch, are what [`data::Whitening`] makes of the training images
/// as evaluation sees them, and stay so.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whiten {
    /// The first so many training images.
    #[serde(deserialize_with = "bounds::positive")]
    pub images: usize,
    /// What is added to each eigenvalue.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub epsilon: f64,
    /// How long the convolution's bias learns; without it, to the end.
    #[serde(default)]
    pub bias: Option<Duration>,
}

/// The training loss.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// What is computed.
    #[serde(default, skip_serializing_if = "LossKind::is_cross_entropy")]
    pub kind: LossKind,
    /// The share of the target that is spread over all classes; 0 is none.
    #[serde(default, deserialize_with = "bounds::below_one")]
    pub label_smoothing: f64,
    /// With `bce`: shares of a target above this count as 1, others as 0, so that an image that is mixed of two is both
    /// (timm's `bce_target_thresh`); without it, shares count as they are.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::some_below_one"
    )]
    pub target_threshold: Option<f64>,
}

/// What the scores of an image are held against its target by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Of the softmax over the classes.
    #[default]
    CrossEntropy,
    /// Binary cross-entropy of each class by itself, the mean over the classes (Wightman et al. 2021, arXiv:2110.00476,
    /// section 2.1).
    Bce,
}

impl LossKind {
    fn is_cross_entropy(&self) -> bool {
        *self == Self::CrossEntropy
    }
}

/// What the journal holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Steps from one line to the next.
    #[serde(deserialize_with = "bounds::positive")]
    pub every: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { every: 50 }
    }
}

/// When the run's state is saved; in any case at the end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// From one checkpoint to the next; an epoch where it is left out.
    #[serde(default = "an_epoch")]
    pub every: Duration,
    /// How many of the latest stay on disk; 2 where it is left out, so that a damaged one has a predecessor.
    #[serde(default = "two", deserialize_with = "bounds::positive")]
    pub keep: usize,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            every: an_epoch(),
            keep: two(),
        }
    }
}

fn an_epoch() -> Duration {
    Duration::Epochs(1)
}

fn two() -> usize {
    2
}

/// When the test and validation splits are evaluated; in any case at the end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// From one evaluation to the next; an epoch where it is left out.
    #[serde(default = "an_epoch")]
    pub every: Duration,
    /// Images at a time; as in training where it is left out. Changes no result.
    #[serde(default, deserialize_with = "bounds::some_positive")]
    pub batch: Option<usize>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            every: an_epoch(),
            batch: None,
        }
    }
}

/// What is done to each image, in this order, and to batches of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// How often an image is in a batch, each time augmented in another way; an epoch sees as many fewer images.
    #[serde(
        default = "one",
        skip_serializing_if = "is_one",
        deserialize_with = "bounds::positive"
    )]
    pub repeated_augmentation: usize,
    /// What the images of a training batch are mixed by, each batch by one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mix: Vec<Mix>,
    /// In training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<Transform>,
    /// In evaluation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<Transform>,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            repeated_augmentation: one(),
            mix: Vec::new(),
            train: Vec::new(),
            test: Vec::new(),
        }
    }
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

/// How each image of a batch is mixed with another, and its label with the other's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "a table", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mix {
    /// Zhang 2017: both are blended.
    Mixup {
        /// Of the beta distribution of the share.
        #[serde(deserialize_with = "bounds::above_zero")]
        alpha: f64,
    },
    /// Yun 2019: a rectangle of the one is pasted into the other.
    Cutmix {
        /// Of the beta distribution of the share.
        #[serde(deserialize_with = "bounds::above_zero")]
        alpha: f64,
    },
}

impl Mix {
    /// As the data crate has it.
    pub fn resolved(&self) -> data::Mix {
        match self {
            Self::Mixup { alpha } => data::Mix::Mixup {
                alpha: *alpha as f32,
            },
            Self::Cutmix { alpha } => data::Mix::Cutmix {
                alpha: *alpha as f32,
            },
        }
    }
}

/// One thing that is done to an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "a table", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// A random square of the image, which is padded first.
    RandomCrop {
        /// The side of the square.
        #[serde(deserialize_with = "bounds::positive")]
        size: usize,
        /// Pixels on each side.
        padding: usize,
        /// What they are: zeros, where it is left out.
        #[serde(default, skip_serializing_if = "PaddingMode::is_constant")]
        padding_mode: PaddingMode,
    },
    /// The shorter side becomes `size`.
    Resize {
        /// Pixels of the shorter side.
        #[serde(deserialize_with = "bounds::positive")]
        size: usize,
        /// How a pixel follows from those around it.
        interpolation: Interpolation,
    },
    /// The middle of the image.
    CenterCrop {
        /// The side of the square.
        #[serde(deserialize_with = "bounds::positive")]
        size: usize,
    },
    /// Szegedy 2014: a part of random area and shape, scaled to a square.
    RandomResizedCrop {
        /// The side of the square.
        #[serde(deserialize_with = "bounds::positive")]
        size: usize,
        /// The least and the largest share of the area.
        #[serde(deserialize_with = "bounds::rising_shares")]
        scale: [f64; 2],
        /// The least and the largest width by height.
        #[serde(deserialize_with = "bounds::rising_above_zero")]
        ratio: [f64; 2],
        /// How a pixel follows from those around it.
        interpolation: Interpolation,
    },
    /// Simonyan and Zisserman 2014: a random square of the image, whose shorter side is drawn.
    ScaleJitter {
        /// The least and the largest shorter side.
        #[serde(deserialize_with = "bounds::rising_sides")]
        shorter_side: [usize; 2],
        /// The side of the square.
        #[serde(deserialize_with = "bounds::positive")]
        size: usize,
        /// How a pixel follows from those around it.
        interpolation: Interpolation,
    },
    /// Left becomes right.
    Flip {
        /// How often.
        #[serde(deserialize_with = "bounds::probability")]
        probability: f64,
        /// Whether the coin is tossed once for each image, and every other epoch does the opposite (Jordan 2024).
        #[serde(default, skip_serializing_if = "Not::not")]
        alternating: bool,
    },
    /// Krizhevsky 2012: along the principal components of the training set's colours, pixels in [0, 1].
    PcaColor {
        /// The standard deviation of each component's factor.
        #[serde(deserialize_with = "bounds::above_zero")]
        std: f64,
    },
    /// Brightness, contrast, saturation and hue; what is left out stays.
    ColorJitter {
        /// How far a factor may be from 1.
        #[serde(default, deserialize_with = "bounds::zero_or_more")]
        brightness: f64,
        /// How far a factor may be from 1.
        #[serde(default, deserialize_with = "bounds::zero_or_more")]
        contrast: f64,
        /// How far a factor may be from 1.
        #[serde(default, deserialize_with = "bounds::zero_or_more")]
        saturation: f64,
        /// A share of the circle of hues.
        #[serde(default, deserialize_with = "bounds::up_to_half")]
        hue: f64,
    },
    /// Cubuk 2018: a pair of operations that a search found.
    AutoAugment {
        /// Of which search.
        policy: Policy,
    },
    /// Cubuk 2019: random operations of one magnitude.
    RandAugment {
        /// How many.
        #[serde(deserialize_with = "bounds::positive")]
        num_ops: usize,
        /// How strong, counted from 0.
        magnitude: usize,
        /// How many magnitudes there are.
        #[serde(deserialize_with = "bounds::positive")]
        num_magnitude_bins: usize,
    },
    /// Müller and Hutter 2021: a random operation of random magnitude.
    TrivialAugmentWide {
        /// How many magnitudes there are.
        #[serde(deserialize_with = "bounds::positive")]
        num_magnitude_bins: usize,
    },
    /// Zhong 2017: something else in the place of a rectangle.
    RandomErasing {
        /// How often.
        #[serde(deserialize_with = "bounds::probability")]
        probability: f64,
        /// The least and the largest share of the area.
        #[serde(deserialize_with = "bounds::rising_shares")]
        scale: [f64; 2],
        /// The least and the largest height by width.
        #[serde(deserialize_with = "bounds::rising_above_zero")]
        ratio: [f64; 2],
        /// A number, or `"random"`.
        #[serde(with = "fill")]
        value: Fill,
    },
    /// Subtracts a mean, and may divide by a deviation.
    Normalize(Normalize),
}

/// What erases, as a number or `"random"`.
mod fill {
    use std::fmt;

    use data::Fill;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(fill: &Fill, serializer: S) -> Result<S::Ok, S::Error> {
        match fill {
            Fill::Value(value) => serializer.serialize_f64(f64::from(*value)),
            Fill::Random => serializer.serialize_str("random"),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fill, D::Error> {
        struct NumberOrWord;

        impl Visitor<'_> for NumberOrWord {
            type Value = Fill;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or `\"random\"`")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Fill, E> {
                Ok(Fill::Value(value as f32))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Fill, E> {
                Ok(Fill::Value(value as f32))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Fill, E> {
                match word {
                    "random" => Ok(Fill::Random),
                    _ => Err(E::unknown_variant(word, &["random"])),
                }
            }
        }

        deserializer.deserialize_any(NumberOrWord)
    }
}

impl Transform {
    fn is_random(&self) -> bool {
        !matches!(
            self,
            Transform::Resize { .. } | Transform::CenterCrop { .. } | Transform::Normalize(_)
        )
    }

    /// Whether it changes bytes, and nothing else.
    pub(crate) fn needs_bytes(&self) -> bool {
        matches!(
            self,
            Transform::ColorJitter { .. }
                | Transform::AutoAugment { .. }
                | Transform::RandAugment { .. }
                | Transform::TrivialAugmentWide { .. }
        )
    }

    /// Whether an image is of bytes no more behind it.
    pub(crate) fn makes_numbers(&self) -> bool {
        matches!(
            self,
            Transform::PcaColor { .. } | Transform::RandomErasing { .. } | Transform::Normalize(_)
        )
    }

    pub(crate) fn key(&self) -> &'static str {
        match self {
            Transform::RandomCrop { .. } => "random_crop",
            Transform::Resize { .. } => "resize",
            Transform::CenterCrop { .. } => "center_crop",
            Transform::RandomResizedCrop { .. } => "random_resized_crop",
            Transform::ScaleJitter { .. } => "scale_jitter",
            Transform::Flip { .. } => "flip",
            Transform::PcaColor { .. } => "pca_color",
            Transform::ColorJitter { .. } => "color_jitter",
            Transform::AutoAugment { .. } => "auto_augment",
            Transform::RandAugment { .. } => "rand_augment",
            Transform::TrivialAugmentWide { .. } => "trivial_augment_wide",
            Transform::RandomErasing { .. } => "random_erasing",
            Transform::Normalize(_) => "normalize",
        }
    }
}

/// What is subtracted and divided by.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalize {
    /// The training set's mean and deviation of each channel.
    PerChannel,
    /// The training set's mean of each pixel; nothing is divided.
    PerPixelMean,
    /// These numbers, one a channel, for pixels in [0, 1].
    Values(ChannelValues),
}

/// A mean and a deviation for each channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "UncheckedValues")]
pub struct ChannelValues {
    /// What is subtracted.
    pub mean: Vec<f64>,
    /// What the rest is divided by.
    pub std: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedValues {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl TryFrom<UncheckedValues> for ChannelValues {
    type Error = String;

    fn try_from(values: UncheckedValues) -> Result<Self, String> {
        let UncheckedValues { mean, std } = values;
        if mean.is_empty() || mean.len() != std.len() {
            return Err(format!(
                "expected a `mean` and a `std` for each channel, found {} and {}",
                mean.len(),
                std.len()
            ));
        }
        match mean
            .iter()
            .find(|x| !x.is_finite())
            .or(std.iter().find(|x| !(x.is_finite() && **x > 0.0)))
        {
            Some(wrong) => Err(format!(
                "expected finite numbers, each `std` above 0, found `{wrong:?}`"
            )),
            None => Ok(Self { mean, std }),
        }
    }
}

const NORMALIZE_WORDS: &[&str] = &["per-channel", "per-pixel-mean"];

impl Serialize for Normalize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Normalize::PerChannel => serializer.serialize_str("per-channel"),
            Normalize::PerPixelMean => serializer.serialize_str("per-pixel-mean"),
            Normalize::Values(values) => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Normalize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Normalize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "`\"per-channel\"`, `\"per-pixel-mean\"` or `{ mean = [..], std = [..] }`",
                )
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Normalize, E> {
                match word {
                    "per-channel" => Ok(Normalize::PerChannel),
                    "per-pixel-mean" => Ok(Normalize::PerPixelMean),
                    _ => Err(E::unknown_variant(word, NORMALIZE_WORDS)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Normalize, A::Error> {
                ChannelValues::deserialize(MapAccessDeserializer::new(map)).map(Normalize::Values)
            }
        }

        deserializer.deserialize_any(Words)
    }
}

/// Reads what is a string in its short form and a table in its long one.
fn string_or_table<'de, D, T, U>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<String> + TryFrom<U, Error: fmt::Display>,
    U: Deserialize<'de>,
{
    struct StringOrTable<T, U>(&'static str, PhantomData<(T, U)>);

    impl<'de, T, U> Visitor<'de> for StringOrTable<T, U>
    where
        T: From<String> + TryFrom<U, Error: fmt::Display>,
        U: Deserialize<'de>,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            Ok(T::from(text.to_owned()))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            let table = U::deserialize(MapAccessDeserializer::new(map))?;
            T::try_from(table).map_err(de::Error::custom)
        }
    }

    deserializer.deserialize_any(StringOrTable(expected, PhantomData))
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        string_or_table::<D, Self, ModelTable>(deserializer, "a model's name or a table")
    }
}

impl<'de> Deserialize<'de> for Dataset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        string_or_table::<D, Self, DatasetTable>(deserializer, "a dataset's name or a table")
    }
}

impl<'de> Deserialize<'de> for Init {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        string_or_table::<D, Self, InitTable>(deserializer, "a file of weights or a table")
    }
}

/// A recipe and the document that it was read from, which knows the line of each key.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeFile {
    /// What the run is called: the file's name without its ending.
    pub name: String,
    /// The recipe.
    pub recipe: Recipe,
    shown: String,
    document: Node,
}

impl RecipeFile {
    /// Reads a recipe, applies each `key.path=value` of `--set` in order, and checks all that needs no data.
    ///
    /// Errors have exit code 2.
    pub fn read(file: &ConfigFile, set: &[String]) -> Result<Self, Error> {
        let checked = || -> Result<(Node, Recipe), Fault> {
            let mut document = Node::parse(&file.text)?;
            for argument in set {
                overrides::set(&mut document, argument)?;
            }
            let recipe: Recipe = decode(&document)?;
            check(&recipe, &document)?;
            Ok((document, recipe))
        };
        let (document, recipe) = checked().map_err(|fault| unusable(&file.shown, fault))?;
        Ok(Self {
            name: file.name.clone(),
            recipe,
            shown: file.shown.clone(),
            document,
        })
    }

    /// The recipe that `--config` names, with `--set` and `--seed`.
    ///
    /// Errors have exit code 2.
    pub fn find(wanted: &str, set: &[String], seed: Option<u64>) -> Result<Self, Error> {
        let config = configs::find(wanted)?;
        let mut set = set.to_vec();
        set.extend(seed.map(|seed| format!("seed={seed}")));
        Self::read(&config, &set)
    }

    /// What messages call it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Its network as published; an option that this does not have is the recipe's mistake.
    ///
    /// Errors have exit code 2.
    pub fn architecture(&self) -> Result<Architecture, Error> {
        network::architecture(&self.recipe.model).map_err(|error| {
            let path = match &error {
                ConfigError::NoSuchOption(option)
                | ConfigError::Probability(option, _)
                | ConfigError::NotFinite(option, _) => format!("model.{option}"),
                _ => "model".to_owned(),
            };
            let fault = Fault::invalid(error.to_string());
            let fault = match network::taking_the_options_of(&self.recipe.model).as_slice() {
                [] => fault,
                [one] => fault.with_hint(format!("`{one}` has it")),
                [one, others @ ..] => fault.with_hint(format!(
                    "`{one}` and {} other networks have it",
                    others.len()
                )),
            };
            self.error(&path, fault)
        })
    }

    /// The error about the key at a dotted path, with the line or the `--set` that wrote it.
    pub fn error(&self, path: &str, fault: Fault) -> Error {
        unusable(&self.shown, fault.at(path, self.document.origin_of(path)))
    }
}

fn unusable(shown: &str, fault: Fault) -> Error {
    Error::usage(format!("cannot use recipe `{shown}`")).explained_by(fault)
}

fn check(recipe: &Recipe, document: &Node) -> Result<(), Fault> {
    let located = |path: &str, fault: Fault| fault.at(path, document.origin_of(path));
    let name_path = |key: &str| {
        let table = format!("{key}.name");
        if document.has(&table) {
            table
        } else {
            key.to_owned()
        }
    };
    known("model", &recipe.model.name, &registry::names())
        .map_err(|fault| located(&name_path("model"), fault))?;
    if let Some(Init {
        model: Some(name), ..
    }) = &recipe.init
    {
        known("model", name, &registry::names()).map_err(|fault| located("init.model", fault))?;
    }
    if let Dataset::Name(name) = &recipe.dataset {
        known("dataset", name, &datasets::names())
            .map_err(|fault| located(&name_path("dataset"), fault))?;
    }
    check_batch(recipe).map_err(|fault| located("accumulate", fault))?;
    check_norm(&recipe.optimizer).map_err(|fault| located("optimizer.sgd.norm", fault))?;
    check_averages(recipe).map_err(|fault| located("lookahead", fault))?;
    check_nesterov(&recipe.optimizer).map_err(|fault| located("optimizer.sgd.nesterov", fault))?;
    check_milestones(&recipe.schedule).map_err(|fault| located("schedule.step.at", fault))?;
    check_plateau(recipe).map_err(|fault| located("schedule.plateau", fault))?;
    match recipe
        .augment
        .test
        .iter()
        .enumerate()
        .find(|(_, transform)| transform.is_random())
    {
        Some((index, transform)) => Err(located(
            &format!("augment.test.{index}.{}", transform.key()),
            Fault::invalid("is random, and evaluation is not")
                .with_hint("move it to `[[augment.train]]`; `[[augment.test]]` takes `resize`, `center_crop` and `normalize`"),
        )),
        None => Ok(()),
    }
}

fn known(kind: &str, name: &str, names: &[&str]) -> Result<(), Fault> {
    if names.contains(&name) {
        return Ok(());
    }
    let fault = Fault::invalid(format!("unknown {kind} `{name}`"));
    Err(match suggest::hint(name, names.iter().copied()) {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    })
}

fn check_batch(recipe: &Recipe) -> Result<(), Fault> {
    let Recipe {
        batch, accumulate, ..
    } = recipe;
    if batch.is_multiple_of(*accumulate) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "expected a divisor of `batch`, {batch}, found {accumulate}"
    )))
}

fn check_nesterov(optimizer: &Optimizer) -> Result<(), Fault> {
    let Optimizer::Sgd(sgd) = optimizer else {
        return Ok(());
    };
    if sgd.nesterov && (sgd.momentum == 0.0 || sgd.dampening != 0.0) {
        let found = format!("momentum {} and dampening {}", sgd.momentum, sgd.dampening);
        return Err(Fault::invalid(format!(
            "expected momentum above 0 and dampening 0 with Nesterov, found {found}"
        )));
    }
    Ok(())
}

fn check_norm(optimizer: &Optimizer) -> Result<(), Fault> {
    match optimizer {
        Optimizer::Sgd(sgd)
            if sgd.norm.is_some() && sgd.decay_exclude.contains(&ParameterKind::Norm) =>
        {
            Err(
                Fault::invalid("says a weight decay, and `decay_exclude` has `norm`, too")
                    .with_hint("leave `norm` out of `decay_exclude`"),
            )
        }
        _ => Ok(()),
    }
}

fn check_averages(recipe: &Recipe) -> Result<(), Fault> {
    match (&recipe.ema, &recipe.lookahead) {
        (Some(_), Some(_)) => Err(Fault::invalid(
            "expected one of `ema` and `lookahead`, of which a run evaluates one, found both",
        )),
        _ => Ok(()),
    }
}

fn check_plateau(recipe: &Recipe) -> Result<(), Fault> {
    match (&recipe.schedule, &recipe.validation) {
        (Schedule::Plateau(_), None) => Err(Fault::invalid("needs images to look at")
            .with_hint("hold some out of training: `validation = { images = 5_000 }`")),
        _ => Ok(()),
    }
}

/// Milestones in one unit can be compared before the dataset is known; those in several are when it is.
fn check_milestones(schedule: &Schedule) -> Result<(), Fault> {
    let Schedule::Step(Step {
        milestones: Milestones::At(at),
        ..
    }) = schedule
    else {
        return Ok(());
    };
    let falls = |pair: &&[Duration]| match (pair[0], pair[1]) {
        (Duration::Epochs(a), Duration::Epochs(b))
        | (Duration::Steps(a), Duration::Steps(b))
        | (Duration::Images(a), Duration::Images(b)) => a >= b,
        _ => false,
    };
    match at.windows(2).find(falls) {
        Some(pair) => Err(Fault::invalid(format!(
            "expected rising milestones, found {} after {}",
            pair[1], pair[0]
        ))),
        None => Ok(()),
    }
}
