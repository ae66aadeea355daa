//! The families, as one type of configurations and one of networks: Burn's `Module` has no trait
//! objects.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::airbench::{Airbench, AirbenchConfig};
use crate::alexnet::{AlexNet, AlexNetConfig};
use crate::deform_resnet::{DeformResNet, DeformResNetConfig};
use crate::densenet::{DenseNet, DenseNetConfig};
use crate::efficientnet::{EfficientNet, EfficientNetConfig};
use crate::highway::{Highway, HighwayConfig};
use crate::inception::{Inception, InceptionConfig};
use crate::layers::{Manipulation, NormKind, RectifierKind};
use crate::lenet::{LeNet, LeNetConfig};
use crate::nin::{Nin, NinConfig};
use crate::overfeat::{OverFeat, OverFeatConfig};
use crate::preact::{PreAct, PreActConfig};
use crate::resnet::{BottleneckStride, ResNet, ResNetConfig, ShortcutKind};
use crate::senet::{SeNet, SeNetConfig};
use crate::squeezenet::{SqueezeNet, SqueezeNetConfig};
use crate::vgg::{Vgg, VggConfig};
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Scores, Seen, Tap, TestScales,
};

/// Makes [`Architecture`] and [`Model`] from one line a family: its documentation, its name, its
/// configuration (which has `channels` and `classes`) and its network.
macro_rules! families {
    ($($(#[$doc:meta])* $family:ident($config:ident => $network:ident),)+) => {
        /// The configuration of a network of any family.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Architecture {
            $($(#[$doc])* $family($config),)+
        }

        impl Architecture {
            /// Scores for each image.
            pub fn classes(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.classes,)+
                }
            }

            /// Channels of the images.
            pub fn channels(&self) -> usize {
                match self {
                    $(Self::$family(config) => config.channels,)+
                }
            }

            /// The same with this number of scores.
            pub fn with_classes(&self, classes: usize) -> Self {
                let mut changed = self.clone();
                match &mut changed {
                    $(Self::$family(config) => config.classes = classes,)+
                }
                changed
            }

            /// The same for images with this number of channels.
            pub fn with_channels(&self, channels: usize) -> Self {
                let mut changed = self.clone();
                match &mut changed {
                    $(Self::$family(config) => config.channels = channels,)+
                }
                changed
            }

            /// The same, dropping values with this probability in training.
            ///
            /// # Errors
            ///
            /// Where the network has no such option, or this is no probability below 1.
            pub fn with_dropout(&self, probability: f64) -> Result<Self, ConfigError> {
                let mut changed = self.clone();
                let place = match &mut changed {
                    $(Self::$family(config) => config.dropout(),)+
                };
                set("dropout", place, probability)?;
                Ok(changed)
            }

            /// The same, dropping the paths beside shortcuts in training: the last with this
            /// probability, and those before it with linearly less.
            ///
            /// # Errors
            ///
            /// Where the network has no such option, or this is no probability below 1.
            pub fn with_stochastic_depth(&self, probability: f64) -> Result<Self, ConfigError> {
                let mut changed = self.clone();
                let place = match &mut changed {
                    $(Self::$family(config) => config.stochastic_depth(),)+
                };
                set("stochastic_depth", place, probability)?;
                Ok(changed)
            }

            /// The same with another rectifier.
            ///
            /// # Errors
            ///
            /// Where the network has no such option.
            pub fn with_activation(&self, activation: RectifierKind) -> Result<Self, ConfigError> {
                let mut changed = self.clone();
                let place = match &mut changed {
                    $(Self::$family(config) => config.activation(),)+
                };
                *place.ok_or(ConfigError::NoSuchOption("activation"))? = activation;
                Ok(changed)
            }

            /// The same with another normalisation.
            ///
            /// # Errors
            ///
            /// Where the network has no such option.
            pub fn with_normalization(&self, normalization: NormKind) -> Result<Self, ConfigError> {
                let mut changed = self.clone();
                let place = match &mut changed {
                    $(Self::$family(config) => config.normalization(),)+
                };
                *place.ok_or(ConfigError::NoSuchOption("normalization"))? = normalization;
                Ok(changed)
            }

            /// How the network's paper draws its weights.
            pub fn initialization(&self) -> Initialization {
                match self {
                    $(Self::$family(config) => config.initialization(),)+
                }
            }

            /// Whether the network can be built and takes images of `[height, width]`.
            pub fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
                self.check_numbers(size)?;
                match self {
                    $(Self::$family(config) => config.check(size),)+
                }
            }

            /// Whether [`Model::forward_map`] takes images of `[height, width]`: those on which the
            /// classifier's window fits the features.
            pub fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
                self.check_numbers(size)?;
                match self {
                    $(Self::$family(config) => config.check_map(size),)+
                }
            }

            /// The sizes at which the network's paper looks at a test image to average what the
            /// network says, where it does that.
            pub fn test_scales(&self) -> Option<TestScales> {
                match self {
                    $(Self::$family(config) => config.test_scales(),)+
                }
            }

            /// Makes the network.
            pub fn init(&self, init: &mut Init) -> Model {
                match self {
                    $(Self::$family(config) => Model::$family(config.init(init)),)+
                }
            }
        }

        /// A network of any family.
        #[derive(Module, Debug)]
        pub enum Model {
            $($(#[$doc])* $family($network),)+
        }

        impl Model {
            /// `[n, channels, h, w]` to `[n, classes]`, showing what flows to `tap`.
            pub fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2> {
                match self {
                    $(Self::$family(net) => net.forward_with(images, tap),)+
                }
            }

            /// What of the features is one row for the classifier.
            pub fn seen(&self) -> Seen {
                match self {
                    $(Self::$family(net) => net.seen(),)+
                }
            }

            /// The network as a fully convolutional one: its classifier at every place of the
            /// features, `[n, channels, h, w]` to `[n, classes, h', w']`.
            ///
            /// On images of the size that a network was made for, the map is one row of scores, that
            /// of [`forward`](Self::forward), or its mean is, where the classifier sees means. Where
            /// layers pad, a place of the map sees its neighbourhood where a crop would see zeros.
            ///
            /// # Panics
            ///
            /// Where [`Architecture::check_map`] refuses the images.
            pub fn forward_map(&self, images: Tensor<4>) -> Tensor<4> {
                match self {
                    $(Self::$family(net) => net.forward_map(images),)+
                }
            }

            /// What a map says of the whole image, `[n, classes, h, w]` to `[n, classes]`: the mean of
            /// its places (Simonyan and Zisserman 2014, arXiv:1409.1556, section 3.2); for OverFeat, each
            /// class's largest score (Sermanet et al. 2013, arXiv:1312.6229, section 3.3).
            pub fn over_places(&self, map: Tensor<4>) -> Tensor<2> {
                match self {
                    $(Self::$family(net) => net.over_places(map),)+
                }
            }

            /// The scores of [`forward_map`](Self::forward_map), taken together as
            /// [`over_places`](Self::over_places) does: `[n, channels, h, w]` to `[n, classes]`.
            ///
            /// # Panics
            ///
            /// As [`forward_map`](Self::forward_map).
            pub fn forward_dense(&self, images: Tensor<4>) -> Tensor<2> {
                match self {
                    $(Self::$family(net) => net.forward_dense(images),)+
                }
            }

            /// The scores that a training step needs, auxiliary classifiers included.
            pub fn forward_train(&self, images: Tensor<4>) -> Scores {
                match self {
                    $(Self::$family(net) => net.forward_train(images),)+
                }
            }

            /// The name that the reference implementation gives the parameter at `path`.
            pub fn pytorch_name(&self, path: &str) -> String {
                match self {
                    $(Self::$family(net) => net.pytorch_name(path),)+
                }
            }

            /// Other names that published weights use, as prefixes: (theirs, the reference's).
            pub(crate) fn aliases(&self) -> &'static [(&'static str, &'static str)] {
                match self {
                    $(Self::$family(_) => $network::ALIASES,)+
                }
            }
        }
    };
}

families! {
    /// LeNet-5.
    LeNet(LeNetConfig => LeNet),
    /// An AlexNet.
    AlexNet(AlexNetConfig => AlexNet),
    /// A Network in Network.
    Nin(NinConfig => Nin),
    /// An OverFeat classifier.
    OverFeat(OverFeatConfig => OverFeat),
    /// A VGG network.
    Vgg(VggConfig => Vgg),
    /// An Inception network.
    Inception(InceptionConfig => Inception),
    /// A highway network.
    Highway(HighwayConfig => Highway),
    /// A plain or residual network.
    ResNet(ResNetConfig => ResNet),
    /// A residual network with pre-activation.
    PreAct(PreActConfig => PreAct),
    /// A residual network with squeeze-and-excitation.
    SeNet(SeNetConfig => SeNet),
    /// A deformable residual network.
    DeformResNet(DeformResNetConfig => DeformResNet),
    /// A SqueezeNet.
    SqueezeNet(SqueezeNetConfig => SqueezeNet),
    /// A DenseNet.
    DenseNet(DenseNetConfig => DenseNet),
    /// An EfficientNet.
    EfficientNet(EfficientNetConfig => EfficientNet),
    /// A network of airbench.
    Airbench(AirbenchConfig => Airbench),
}

/// Sets a probability, where the network has it.
fn set(name: &'static str, place: Option<&mut f64>, probability: f64) -> Result<(), ConfigError> {
    ConfigError::unless_probability(name, probability)?;
    *place.ok_or(ConfigError::NoSuchOption(name))? = probability;
    Ok(())
}

impl Model {
    /// `[n, channels, h, w]` to `[n, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_with(images, &mut ())
    }
}

impl Architecture {
    fn check_numbers(&self, [height, width]: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_zero("classes", self.classes())?;
        ConfigError::if_zero("channels", self.channels())?;
        ConfigError::if_zero("height", height)?;
        ConfigError::if_zero("width", width)
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

    /// The same with this done to its shortcuts.
    ///
    /// # Errors
    ///
    /// Where the network has no such option, or this has a number that cannot be computed with.
    pub fn with_manipulation(&self, manipulation: Manipulation) -> Result<Self, ConfigError> {
        manipulation.check()?;
        match self {
            Self::ResNet(config) if config.shortcut.is_some() => Ok(Self::ResNet(ResNetConfig {
                manipulation: Some(manipulation),
                ..config.clone()
            })),
            _ => Err(ConfigError::NoSuchOption("manipulation")),
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
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use burn::tensor::Device;

    use crate::registry::MODELS;
    use crate::{Init, Seen};

    /// Not one size too many is refused, and none too few.
    #[test]
    fn maps_are_taken_where_the_classifiers_window_fits() {
        let device = Device::flex();
        for entry in MODELS {
            let architecture = &entry.architecture;
            let initialization = architecture.initialization();
            let model = architecture.init(&mut Init::new(&device, initialization, 0));
            if model.seen() == Seen::Mean {
                continue; // A pixel always fits where the features have one.
            }
            // The last place of these networks is where their features are.
            let features = |size: usize| model.places([architecture.channels(), size, size]).pop();
            let fits = |size: usize| {
                let features = catch_unwind(AssertUnwindSafe(|| features(size)))
                    .ok()
                    .flatten();
                features.is_some_and(|place| place.shape[1] >= model.seen().extent())
            };
            let is_taken = |size: usize| architecture.check_map([size; 2]).is_ok();
            let least = (1..=entry.image_size)
                .find(|size| is_taken(*size))
                .expect("some size is taken");
            assert!(fits(least), "{}: {least}", entry.name);
            assert!(!fits(least - 1), "{}: {least}", entry.name);
        }
    }
}
