//! The configurations of all families, as one type.

use crate::lenet::LeNetConfig;
use crate::resnet::{BottleneckStride, ResNetConfig, ShortcutKind};
use crate::{ConfigError, Init, Initialization, Model};

/// The configuration of a network of any family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// LeNet-5.
    LeNet(LeNetConfig),
    /// A plain or residual network.
    ResNet(ResNetConfig),
}

impl Architecture {
    /// The same with this number of scores.
    pub fn with_classes(&self, classes: usize) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            Self::LeNet(config) => config.classes = classes,
            Self::ResNet(config) => config.classes = classes,
        }
        changed
    }

    /// The same for images with this number of channels.
    pub fn with_channels(&self, channels: usize) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            Self::LeNet(config) => config.channels = channels,
            Self::ResNet(config) => config.channels = channels,
        }
        changed
    }

    /// The same with other shortcuts.
    ///
    /// # Errors
    ///
    /// Where the network has no shortcuts.
    pub fn with_shortcut(&self, shortcut: ShortcutKind) -> Result<Self, ConfigError> {
        match self {
            Self::ResNet(config) if config.shortcut.is_some() => Ok(Self::ResNet(ResNetConfig {
                shortcut: Some(shortcut),
                ..config.clone()
            })),
            _ => Err(ConfigError::NoSuchOption("shortcut")),
        }
    }

    /// The same with the stride of its bottlenecks elsewhere.
    ///
    /// # Errors
    ///
    /// Where the network has no bottlenecks.
    pub fn with_bottleneck_stride(&self, stride: BottleneckStride) -> Result<Self, ConfigError> {
        match self {
            Self::ResNet(config) if config.block == crate::resnet::Block::Bottleneck => {
                Ok(Self::ResNet(ResNetConfig {
                    bottleneck_stride: stride,
                    ..config.clone()
                }))
            }
            _ => Err(ConfigError::NoSuchOption("bottleneck_stride")),
        }
    }

    /// Scores for each image.
    pub fn classes(&self) -> usize {
        match self {
            Self::LeNet(config) => config.classes,
            Self::ResNet(config) => config.classes,
        }
    }

    /// Channels of the images.
    pub fn channels(&self) -> usize {
        match self {
            Self::LeNet(config) => config.channels,
            Self::ResNet(config) => config.channels,
        }
    }

    /// The initialisation of the family's paper.
    pub fn initialization(&self) -> Initialization {
        match self {
            Self::LeNet(_) => LeNetConfig::INITIALIZATION,
            Self::ResNet(_) => ResNetConfig::INITIALIZATION,
        }
    }

    /// Whether the network can be built and takes images of `[height, width]`.
    pub fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        match self {
            Self::LeNet(config) => config.check(size),
            Self::ResNet(config) => config.check(size),
        }
    }

    /// Makes the network.
    pub fn init(&self, init: &mut Init) -> Model {
        match self {
            Self::LeNet(config) => Model::LeNet(config.init(init)),
            Self::ResNet(config) => Model::ResNet(config.init(init)),
        }
    }
}
