//! Every network by name.

use crate::Architecture::{
    self, Airbench, AlexNet, DeformResNet, DenseNet, EfficientNet, Highway, Inception, LeNet, Nin,
    OverFeat, PreAct, ResNet, SeNet, SqueezeNet, Vgg,
};
use crate::airbench::AIRBENCH94;
use crate::alexnet::{ALEXNET, ALEXNET_2012};
use crate::deform_resnet::{DEFORM_RESNET50, DEFORM_RESNET50_V2};
use crate::densenet::{
    self, DENSENET121, DENSENET161, DENSENET169, DENSENET201, DENSENET264, cifar_bc,
};
use crate::efficientnet::{
    EFFICIENTNET_B0, EFFICIENTNET_B1, EFFICIENTNET_B2, EFFICIENTNET_B3, EFFICIENTNET_B4,
    EFFICIENTNET_B5, EFFICIENTNET_B6, EFFICIENTNET_B7,
};
use crate::highway::{HIGHWAY19, HIGHWAY32, highway_c};
use crate::inception::bn_inception::{BN_INCEPTION, SE_INCEPTION};
use crate::inception::googlenet::{GOOGLENET, GOOGLENET2014, INCEPTION_NAIVE};
use crate::inception::inception_resnet::{INCEPTION_RESNET_V1, INCEPTION_RESNET_V2};
use crate::inception::v3::INCEPTION_V3;
use crate::inception::v4::INCEPTION_V4;
use crate::lenet::LENET5;
use crate::nin::NIN;
use crate::overfeat::{OVERFEAT_ACCURATE, OVERFEAT_FAST};
use crate::preact::{basic, bottleneck, wide};
use crate::resnet::{
    RESNET18, RESNET18_CIFAR, RESNET34, RESNET50, RESNET101, RESNET152, RESNEXT50_32X4D,
    RESNEXT101_32X8D, RESNEXT101_64X4D, WIDE_RESNET50_2, WIDE_RESNET101_2, cifar, plain, resnext29,
};
use crate::senet::{
    SE_RESNET50, SE_RESNET101, SE_RESNET110, SE_RESNET152, SE_RESNEXT50_32X4D, SENET154, SERESNET50,
};
use crate::squeezenet::{SQUEEZENET1_0, SQUEEZENET1_1};
use crate::vgg::{self, VGG11, VGG11_LRN, VGG13, VGG16, VGG16_C, VGG19, batch_normalized};

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
    /// Pixels of a test image's shorter side when its middle, of `image_size`, is cut out.
    pub resize: usize,
    /// Whether test images are scaled by Catmull-Rom's cubic in place of a triangle.
    pub bicubic: bool,
    /// What its pixels are normalised by.
    pub normalization: Normalization,
    /// What it is known to reach.
    pub result: Option<PublishedResult>,
}

/// How published weights want their pixels, which are from 0 to 1, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// Each publisher does it in another way, or not at all.
    Unsettled,
    /// By ImageNet's mean and standard deviation.
    ImageNet,
    /// To values from -1 to 1: by a mean and a standard deviation of a half, as Google's Inception networks.
    PlusMinusOne,
}

/// A published accuracy. torchvision's are read from its weights' metadata; those of papers, 100
/// less the error, are from transcriptions of their tables.
#[derive(Clone, Copy, Debug)]
pub struct PublishedResult {
    /// Test images that are classified right, in percent.
    pub top1: f64,
    /// Of what, and how measured.
    pub conditions: &'static str,
}

/// Of the first published weights, `IMAGENET1K_V1`.
const TORCHVISION: &str = "ImageNet, one crop, torchvision's weights";
const HE_TABLE_6: &str = "CIFAR-10, the paper's table 6";
const HUANG_TABLE_2: &str = "CIFAR-10, the paper's table 2, augmented";
const HIGHWAY_BEST: &str = "CIFAR-10, best run, as He et al. 2015 cite it";

const LECUN_1998: &str = "LeCun et al. 1998";
const KRIZHEVSKY_2012: &str = "Krizhevsky et al. 2012";
const KRIZHEVSKY_2014: &str = "Krizhevsky 2014, arXiv:1404.5997";
const LIN_2013: &str = "Lin et al. 2013, arXiv:1312.4400";
const SERMANET_2013: &str = "Sermanet et al. 2013, arXiv:1312.6229";
const SRIVASTAVA_2015: &str = "Srivastava et al. 2015, arXiv:1507.06228";
const XIE_2016: &str = "Xie et al. 2016, arXiv:1611.05431";
const ZAGORUYKO_2016: &str = "Zagoruyko and Komodakis 2016, arXiv:1605.07146";
const HE_2016: &str = "He et al. 2016, arXiv:1603.05027";
const IANDOLA_2016: &str = "Iandola et al. 2016, arXiv:1602.07360";
const HUANG_2016: &str = "Huang et al. 2016, arXiv:1608.06993";
const SIMONYAN_2014: &str = "Simonyan and Zisserman 2014, arXiv:1409.1556";
const SZEGEDY_2014: &str = "Szegedy et al. 2014, arXiv:1409.4842";
const IOFFE_2015: &str = "Ioffe and Szegedy 2015, arXiv:1502.03167";
const SZEGEDY_2015: &str = "Szegedy et al. 2015, arXiv:1512.00567";
const SZEGEDY_2016: &str = "Szegedy et al. 2016, arXiv:1602.07261";
const HU_2017: &str = "Hu et al. 2017, arXiv:1709.01507";
const TAN_2019: &str = "Tan and Le 2019, arXiv:1905.11946";
const DAI_2017: &str = "Dai et al. 2017, arXiv:1703.06211";
const ZHU_2018: &str = "Zhu et al. 2018, arXiv:1811.11168";
const JORDAN_2024: &str = "Jordan 2024, arXiv:2404.00498";
const HE_2015: &str = "He et al. 2015, arXiv:1512.03385";

/// Height and width of the images of CIFAR; larger ones are ImageNet's.
const CIFAR_SIZE: usize = 32;

/// The registry, in the order in which it is listed.
///
/// How test images are made ready is torchvision's way with its weights, and timm's where torchvision has none. An entry
/// says what is not usual: for ImageNet, 256 pixels, bilinear, ImageNet's mean and standard deviation; for smaller
/// images, as they are.
pub const MODELS: &[Entry] = &[
    entry("lenet5", LeNet(LENET5), 28, LECUN_1998),
    entry("alexnet2012", AlexNet(ALEXNET_2012), 224, KRIZHEVSKY_2012),
    entry("alexnet", AlexNet(ALEXNET), 224, KRIZHEVSKY_2014).reaches(56.522, TORCHVISION),
    entry("nin", Nin(NIN), 32, LIN_2013).reaches(91.19, "CIFAR-10, the paper, augmented"),
    entry("overfeat_fast", OverFeat(OVERFEAT_FAST), 231, SERMANET_2013),
    entry(
        "overfeat_accurate",
        OverFeat(OVERFEAT_ACCURATE),
        221,
        SERMANET_2013,
    ),
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
    entry("cifar_vgg11_bn", Vgg(vgg::cifar(VGG11)), 32, SIMONYAN_2014),
    entry("cifar_vgg13_bn", Vgg(vgg::cifar(VGG13)), 32, SIMONYAN_2014),
    entry("cifar_vgg16_bn", Vgg(vgg::cifar(VGG16)), 32, SIMONYAN_2014),
    entry("cifar_vgg19_bn", Vgg(vgg::cifar(VGG19)), 32, SIMONYAN_2014),
    entry("googlenet", Inception(GOOGLENET), 224, SZEGEDY_2014)
        .plus_minus_one()
        .reaches(69.778, TORCHVISION),
    entry("googlenet2014", Inception(GOOGLENET2014), 224, SZEGEDY_2014),
    entry(
        "inception_naive",
        Inception(INCEPTION_NAIVE),
        224,
        SZEGEDY_2014,
    ),
    entry("bn_inception", Inception(BN_INCEPTION), 224, IOFFE_2015),
    entry("se_inception", Inception(SE_INCEPTION), 224, HU_2017),
    entry("inception_v3", Inception(INCEPTION_V3), 299, SZEGEDY_2015)
        .resized(342)
        .plus_minus_one()
        .reaches(77.294, TORCHVISION),
    entry("inception_v4", Inception(INCEPTION_V4), 299, SZEGEDY_2016)
        .resized(341)
        .bicubic()
        .plus_minus_one(),
    entry(
        "inception_resnet_v1",
        Inception(INCEPTION_RESNET_V1),
        299,
        SZEGEDY_2016,
    )
    .resized(341)
    .bicubic()
    .plus_minus_one(),
    entry(
        "inception_resnet_v2",
        Inception(INCEPTION_RESNET_V2),
        299,
        SZEGEDY_2016,
    )
    .resized(333)
    .bicubic()
    .plus_minus_one(),
    entry("highway19", Highway(HIGHWAY19), 32, SRIVASTAVA_2015).reaches(92.46, HIGHWAY_BEST),
    entry("highway20", Highway(highway_c(20)), 32, SRIVASTAVA_2015),
    entry("highway32", Highway(HIGHWAY32), 32, SRIVASTAVA_2015).reaches(91.20, HIGHWAY_BEST),
    entry("highway56", Highway(highway_c(56)), 32, SRIVASTAVA_2015),
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
    entry("resnet1202", ResNet(cifar(&[200, 200, 200])), 32, HE_2015).reaches(92.07, HE_TABLE_6),
    entry("resnet18_cifar", ResNet(RESNET18_CIFAR), 32, HE_2015),
    entry("plain18", ResNet(plain(RESNET18)), 224, HE_2015),
    entry("plain34", ResNet(plain(RESNET34)), 224, HE_2015),
    entry("resnet18", ResNet(RESNET18), 224, HE_2015).reaches(69.758, TORCHVISION),
    entry("resnet34", ResNet(RESNET34), 224, HE_2015).reaches(73.314, TORCHVISION),
    entry("resnet50", ResNet(RESNET50), 224, HE_2015).reaches(76.13, TORCHVISION),
    entry("resnet101", ResNet(RESNET101), 224, HE_2015).reaches(77.374, TORCHVISION),
    entry("resnet152", ResNet(RESNET152), 224, HE_2015).reaches(78.312, TORCHVISION),
    entry("resnext50_32x4d", ResNet(RESNEXT50_32X4D), 224, XIE_2016).reaches(77.618, TORCHVISION),
    entry("resnext101_32x8d", ResNet(RESNEXT101_32X8D), 224, XIE_2016).reaches(79.312, TORCHVISION),
    entry("resnext101_64x4d", ResNet(RESNEXT101_64X4D), 224, XIE_2016)
        .resized(232)
        .reaches(83.246, TORCHVISION),
    entry("resnext29_8x64d", ResNet(resnext29(8)), 32, XIE_2016)
        .reaches(96.35, "CIFAR-10, the paper"),
    entry("resnext29_16x64d", ResNet(resnext29(16)), 32, XIE_2016)
        .reaches(96.42, "CIFAR-10, the paper"),
    entry(
        "wide_resnet50_2",
        ResNet(WIDE_RESNET50_2),
        224,
        ZAGORUYKO_2016,
    )
    .reaches(78.468, TORCHVISION),
    entry(
        "wide_resnet101_2",
        ResNet(WIDE_RESNET101_2),
        224,
        ZAGORUYKO_2016,
    )
    .reaches(78.848, TORCHVISION),
    entry("preact_resnet110", PreAct(basic(18)), 32, HE_2016),
    entry("preact_resnet164", PreAct(bottleneck(18)), 32, HE_2016)
        .reaches(94.54, "CIFAR-10, the paper"),
    entry("preact_resnet1001", PreAct(bottleneck(111)), 32, HE_2016),
    entry("wide_resnet16_8", PreAct(wide(16, 8)), 32, ZAGORUYKO_2016),
    entry("wide_resnet28_10", PreAct(wide(28, 10)), 32, ZAGORUYKO_2016)
        .reaches(96.00, "CIFAR-10, the paper, median of 5"),
    entry("wide_resnet40_4", PreAct(wide(40, 4)), 32, ZAGORUYKO_2016),
    entry("wide_resnet40_10", PreAct(wide(40, 10)), 32, ZAGORUYKO_2016),
    entry("se_resnet110", SeNet(SE_RESNET110), 32, HU_2017)
        .reaches(94.79, "CIFAR-10, the paper's table 4"),
    entry("se_resnet50", SeNet(SE_RESNET50), 224, HU_2017)
        .reaches(76.71, "ImageNet, one crop, the paper's table 2"),
    entry("se_resnet101", SeNet(SE_RESNET101), 224, HU_2017),
    entry("se_resnet152", SeNet(SE_RESNET152), 224, HU_2017),
    entry(
        "se_resnext50_32x4d",
        SeNet(SE_RESNEXT50_32X4D),
        224,
        HU_2017,
    ),
    entry("senet154", SeNet(SENET154), 224, HU_2017),
    entry("seresnet50", SeNet(SERESNET50), 224, HU_2017),
    entry(
        "deform_resnet50",
        DeformResNet(DEFORM_RESNET50),
        224,
        DAI_2017,
    ),
    entry(
        "deform_resnet50_v2",
        DeformResNet(DEFORM_RESNET50_V2),
        224,
        ZHU_2018,
    ),
    entry(
        "squeezenet1_0",
        SqueezeNet(SQUEEZENET1_0),
        224,
        IANDOLA_2016,
    )
    .reaches(58.092, TORCHVISION),
    entry(
        "squeezenet1_1",
        SqueezeNet(SQUEEZENET1_1),
        224,
        IANDOLA_2016,
    )
    .reaches(58.178, TORCHVISION),
    entry("densenet121", DenseNet(DENSENET121), 224, HUANG_2016).reaches(74.434, TORCHVISION),
    entry("densenet161", DenseNet(DENSENET161), 224, HUANG_2016).reaches(77.138, TORCHVISION),
    entry("densenet169", DenseNet(DENSENET169), 224, HUANG_2016).reaches(75.600, TORCHVISION),
    entry("densenet201", DenseNet(DENSENET201), 224, HUANG_2016).reaches(76.896, TORCHVISION),
    entry("densenet264", DenseNet(DENSENET264), 224, HUANG_2016)
        .reaches(77.85, "ImageNet, one crop, the paper"),
    entry(
        "densenet40_12",
        DenseNet(densenet::cifar(12, &[12; 3])),
        32,
        HUANG_2016,
    )
    .reaches(94.76, HUANG_TABLE_2),
    entry(
        "densenet100_12",
        DenseNet(densenet::cifar(12, &[32; 3])),
        32,
        HUANG_2016,
    )
    .reaches(95.90, HUANG_TABLE_2),
    entry(
        "densenet100_24",
        DenseNet(densenet::cifar(24, &[32; 3])),
        32,
        HUANG_2016,
    )
    .reaches(96.26, HUANG_TABLE_2),
    entry(
        "densenet_bc100_12",
        DenseNet(cifar_bc(12, &[16; 3])),
        32,
        HUANG_2016,
    )
    .reaches(95.49, HUANG_TABLE_2),
    entry(
        "densenet_bc250_24",
        DenseNet(cifar_bc(24, &[41; 3])),
        32,
        HUANG_2016,
    )
    .reaches(96.38, HUANG_TABLE_2),
    entry(
        "densenet_bc190_40",
        DenseNet(cifar_bc(40, &[31; 3])),
        32,
        HUANG_2016,
    )
    .reaches(96.54, HUANG_TABLE_2),
    entry(
        "efficientnet_b0",
        EfficientNet(EFFICIENTNET_B0),
        224,
        TAN_2019,
    )
    .bicubic()
    .reaches(77.692, TORCHVISION),
    entry(
        "efficientnet_b1",
        EfficientNet(EFFICIENTNET_B1),
        240,
        TAN_2019,
    )
    .bicubic()
    .reaches(78.642, TORCHVISION),
    entry(
        "efficientnet_b2",
        EfficientNet(EFFICIENTNET_B2),
        288,
        TAN_2019,
    )
    .resized(288)
    .bicubic()
    .reaches(80.608, TORCHVISION),
    entry(
        "efficientnet_b3",
        EfficientNet(EFFICIENTNET_B3),
        300,
        TAN_2019,
    )
    .resized(320)
    .bicubic()
    .reaches(82.008, TORCHVISION),
    entry(
        "efficientnet_b4",
        EfficientNet(EFFICIENTNET_B4),
        380,
        TAN_2019,
    )
    .resized(384)
    .bicubic()
    .reaches(83.384, TORCHVISION),
    entry(
        "efficientnet_b5",
        EfficientNet(EFFICIENTNET_B5),
        456,
        TAN_2019,
    )
    .resized(456)
    .bicubic()
    .reaches(83.444, TORCHVISION),
    entry(
        "efficientnet_b6",
        EfficientNet(EFFICIENTNET_B6),
        528,
        TAN_2019,
    )
    .resized(528)
    .bicubic()
    .reaches(84.008, TORCHVISION),
    entry(
        "efficientnet_b7",
        EfficientNet(EFFICIENTNET_B7),
        600,
        TAN_2019,
    )
    .resized(600)
    .bicubic()
    .reaches(84.122, TORCHVISION),
    entry("airbench94", Airbench(AIRBENCH94), 32, JORDAN_2024).reaches(
        94.01,
        "CIFAR-10, the author's program, six views, mean of 1000 runs",
    ),
];

const fn entry(
    name: &'static str,
    architecture: Architecture,
    image_size: usize,
    paper: &'static str,
) -> Entry {
    let of_imagenet = image_size > CIFAR_SIZE;
    Entry {
        name,
        architecture,
        image_size,
        paper,
        resize: if of_imagenet { 256 } else { image_size },
        bicubic: false,
        normalization: if of_imagenet {
            Normalization::ImageNet
        } else {
            Normalization::Unsettled
        },
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
    const fn resized(self, resize: usize) -> Self {
        Self { resize, ..self }
    }

    const fn bicubic(self) -> Self {
        Self {
            bicubic: true,
            ..self
        }
    }

    const fn plus_minus_one(self) -> Self {
        let normalization = Normalization::PlusMinusOne;
        Self {
            normalization,
            ..self
        }
    }

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
