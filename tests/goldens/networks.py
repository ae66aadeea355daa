"""The networks of Kiln's registry in PyTorch, under the names that Kiln's weight files use.

Where torchvision has the shape, the network is torchvision's.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models import densenet

import inception


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut is option A: every other pixel, zero channels on both sides."""

    def __init__(self, channels, width, stride, residual):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu1 = self.relu2 = F.relu
        self.stride, self.residual = stride, residual
        self.padding = (width - channels) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.residual:
            shortcut = x[:, :, :: self.stride, :: self.stride]
            y = y + F.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding))
        return self.relu2(y)


class CifarResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n+2 layers of widths 16, 32 and 64."""

    def __init__(self, n, residual=True, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = F.relu
        channels = 16
        for stage, width in enumerate((16, 32, 64), start=1):
            blocks = []
            for index in range(n):
                stride = 2 if stage > 1 and index == 0 else 1
                blocks.append(CifarBlock(channels, width, stride, residual))
                channels = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class Manipulated(nn.Module):
    """A block of `CifarResNet` with a gate for the shortcuts of He et al. 2016 (identity mappings), figure 2, as
    `combine` of block input, shortcut and path does it."""

    def __init__(self, block, combine, gated):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2
        self.stride, self.padding, self.combine = block.stride, block.padding, combine
        if gated:
            self.gate = nn.Conv2d(block.conv1.in_channels, block.conv2.out_channels, 1, block.stride)

    def forward(self, x):
        path = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        gate = torch.sigmoid(self.gate(x)) if hasattr(self, "gate") else None
        return F.relu(self.combine(shortcut, path, gate))


def with_manipulation(network, combine, gated=False):
    """A network of `CifarResNet` whose blocks add by `combine`."""
    for stage in (network.layer1, network.layer2, network.layer3):
        for index, block in enumerate(stage):
            stage[index] = Manipulated(block, combine, gated)
    return network


def with_prelu(network):
    """A network of `CifarResNet` in which every channel of every rectifier learns its slope."""
    network.relu = nn.PReLU(16)
    for stage in (network.layer1, network.layer2, network.layer3):
        for block in stage:
            channels = block.conv2.out_channels
            block.relu1, block.relu2 = nn.PReLU(channels), nn.PReLU(channels)
    return network


class LeNet5(nn.Module):
    """LeCun et al. 1998, section II.B, on 28x28 images, with mean pooling."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        def squash(x):
            return 1.7159 * torch.tanh(2 / 3 * x)

        x = F.avg_pool2d(squash(self.conv1(x)), 2)
        x = F.avg_pool2d(squash(self.conv2(x)), 2)
        x = squash(self.fc2(squash(self.fc1(x.flatten(1)))))
        return self.fc3(x)


def resnet18_cifar(classes=10):
    """torchvision's ResNet-18 with a 3x3 stem at stride 1 and no pooling."""
    network = torchvision.models.resnet18(num_classes=classes)
    network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    network.maxpool = nn.Identity()
    return network


class Nin(nn.Module):
    """Lin et al. 2013, the CIFAR-10 network of the authors' Caffe model."""

    def __init__(self, classes=10):
        super().__init__()
        self.mlpconv1 = MlpConv(3, 5, (192, 160, 96))
        self.mlpconv2 = MlpConv(96, 5, (192, 192, 192))
        self.mlpconv3 = MlpConv(192, 3, (192, 192, classes))

    def forward(self, x):
        x = F.max_pool2d(self.mlpconv1(x), 3, 2, ceil_mode=True)
        x = F.avg_pool2d(self.mlpconv2(x), 3, 2, ceil_mode=True)
        return self.mlpconv3(x).mean((2, 3))


class MlpConv(nn.Module):
    def __init__(self, channels, kernel, filters):
        super().__init__()
        inputs = (channels, *filters[:2])
        kernels = (kernel, 1, 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in zip(inputs, filters, kernels)
        )

    def forward(self, x):
        for conv in self.convs:
            x = F.relu(conv(x))
        return x


class OverFeat(nn.Module):
    """Sermanet et al. 2013: rows of filters, kernel, stride, padding and pooling; then features."""

    FAST = [(96, 11, 4, 0, 2), (256, 5, 1, 0, 2), (512, 3, 1, 1, 1), (1024, 3, 1, 1, 1), (1024, 3, 1, 1, 2)]
    ACCURATE = [
        (96, 7, 2, 0, 3),
        (256, 7, 1, 0, 2),
        (512, 3, 1, 1, 1),
        (512, 3, 1, 1, 1),
        (1024, 3, 1, 1, 1),
        (1024, 3, 1, 1, 3),
    ]

    def __init__(self, rows, seen, hidden, classes):
        super().__init__()
        self.rows = rows
        self.layers = nn.ModuleList()
        channels = 3
        for filters, kernel, stride, padding, _ in rows:
            layer = nn.Module()
            layer.conv = nn.Conv2d(channels, filters, kernel, stride, padding)
            self.layers.append(layer)
            channels = filters
        self.fc1 = nn.Linear(channels * seen * seen, hidden)
        self.fc2 = nn.Linear(hidden, 4096)
        self.fc3 = nn.Linear(4096, classes)

    def forward(self, x):
        for layer, (_, _, _, _, pool) in zip(self.layers, self.rows):
            x = F.max_pool2d(F.relu(layer.conv(x)), pool)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class HighwayLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.transform = nn.Conv2d(width, width, 3, padding=1)
        self.gate = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x))
        return F.relu(self.transform(x)) * gate + x * (1 - gate)


class Highway(nn.Module):
    """Srivastava et al. 2015 after the authors' Caffe model: layers and width of each stage."""

    def __init__(self, stages, classes=10):
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for depth, width in stages:
            stage = nn.Module()
            stage.widen = nn.Conv2d(channels, width, 3, padding=1)
            stage.layers = nn.ModuleList(HighwayLayer(width) for _ in range(depth))
            self.stages.append(stage)
            channels = width
        self.last = nn.Conv2d(channels, 100, 1)
        self.head = nn.Linear(100, classes)

    def forward(self, x):
        for index, stage in enumerate(self.stages):
            x = F.relu(stage.widen(F.max_pool2d(x, 2) if index else x))
            for layer in stage.layers:
                x = layer(x)
        return self.head(F.relu(self.last(x)).mean((2, 3)))


class NormReluConv(nn.Module):
    def __init__(self, channels, filters, kernel, stride=1):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)

    def forward(self, x):
        return self.conv(F.relu(self.norm(x)))


class PreActBlock(nn.Module):
    """He et al. 2016: of (filters, kernel); the first has the stride."""

    def __init__(self, channels, rows, stride):
        super().__init__()
        inputs = [channels, *(filters for filters, _ in rows[:-1])]
        strides = [stride] + [1] * (len(rows) - 1)
        self.path = nn.ModuleList(
            NormReluConv(i, filters, kernel, s) for i, (filters, kernel), s in zip(inputs, rows, strides)
        )
        outputs = rows[-1][0]
        self.projection = None
        if channels != outputs or stride != 1:
            self.projection = nn.Conv2d(channels, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = x
        for layer in self.path:
            y = layer(y)
        if self.projection is None:
            return x + y
        return self.projection(F.relu(self.path[0].norm(x))) + y


class PreActResNet(nn.Module):
    """He et al. 2016 and Zagoruyko and Komodakis 2016 on CIFAR."""

    def __init__(self, n, k, bottleneck, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        channels = 16
        for stage in range(3):
            width = 16 * k * 2**stage
            rows = [(width, 1), (width, 3), (4 * width, 1)] if bottleneck else [(width, 3), (width, 3)]
            module = nn.Module()
            module.blocks = nn.ModuleList()
            for index in range(n):
                module.blocks.append(PreActBlock(channels, rows, 2 if stage and not index else 1))
                channels = rows[-1][0]
            self.stages.append(module)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            for block in stage.blocks:
                x = block(x)
        return self.head(F.relu(self.norm(x)).mean((2, 3)))


class DenseLayer(nn.Module):
    """torchvision's layer without the 1x1 convolution."""

    def __init__(self, channels, growth):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, inputs):
        return self.conv1(F.relu(self.norm1(torch.cat(inputs, 1))))


class CifarDenseNet(nn.Module):
    """Huang et al. 2016, section 3: without bottlenecks and compression, or with both (BC)."""

    def __init__(self, depth, growth, bc, classes):
        super().__init__()
        channels = 2 * growth if bc else 16
        layers = (depth - 4) // (6 if bc else 3)
        features = [("conv0", nn.Conv2d(3, channels, 3, padding=1, bias=False))]
        for index in (1, 2, 3):
            block = densenet._DenseBlock(layers, channels, 4, growth, 0.0)
            if not bc:
                for layer in range(layers):
                    block[f"denselayer{layer + 1}"] = DenseLayer(channels + layer * growth, growth)
            features.append((f"denseblock{index}", block))
            channels += layers * growth
            if index < 3:
                kept = channels // 2 if bc else channels
                features.append((f"transition{index}", densenet._Transition(channels, kept)))
                channels = kept
        features.append(("norm5", nn.BatchNorm2d(channels)))
        self.features = nn.Sequential(OrderedDict(features))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(F.relu(self.features(x)).mean((2, 3)))


class WithoutShortcuts(nn.Module):
    """A basic block of torchvision's without its shortcut."""

    def __init__(self, block):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def plain(residual):
    """The ImageNet form of torchvision without shortcuts."""

    def build(classes):
        network = residual(num_classes=classes)
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            for index, block in enumerate(stage):
                stage[index] = WithoutShortcuts(block)
        return network

    return build


@dataclass
class Network:
    """A network of the registry."""

    build: Callable[[int], nn.Module]  # from the number of classes
    source: str  # of the model: a library's, or this file's after the paper
    image: int  # height and width of the published images
    small: int  # of the images that logits are computed for
    classes: int
    channels: int = 3
    gain: float = 1.0  # of the norms' weights that logits are computed with: small where depth would overflow


def paper(build, where, image=32, small=32, classes=10, channels=3):
    """Written here after the paper's section or table."""
    return Network(build, f"networks.py after {where}", image, small, classes, channels)


def alexnet2012(classes):
    """Krizhevsky et al. 2012, section 3.5, under torchvision's names: its ReLU comes with a normalisation."""
    network = torchvision.models.alexnet(num_classes=classes)
    rows = {0: (3, 96, 11, 4, 2, 1), 3: (96, 256, 5, 1, 2, 2), 6: (256, 384, 3, 1, 1, 1)}
    rows |= {8: (384, 384, 3, 1, 1, 2), 10: (384, 256, 3, 1, 1, 2)}
    for index, (channels, filters, kernel, stride, padding, groups) in rows.items():
        conv = nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups)
        network.features[index] = conv
    for index in (1, 4):
        network.features[index] = nn.Sequential(nn.ReLU(), krizhevsky_norm())
    return network


def resnext29(groups):
    """torchvision's bottlenecks of 64 channels a group in three stages behind a 3x3 stem."""

    def build(classes):
        network = torchvision.models.ResNet(
            torchvision.models.resnet.Bottleneck, [3, 3, 3, 1], groups=groups, width_per_group=64
        )
        network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        network.maxpool = network.layer4 = nn.Identity()
        network.fc = nn.Linear(1024, classes)
        return network

    return build


def densenet264(classes):
    return densenet.DenseNet(32, (6, 12, 64, 48), 64, num_classes=classes)


def krizhevsky_norm():
    """Krizhevsky et al. 2012, section 3.3: PyTorch's alpha is that of the mean, not of the sum."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def vgg11_lrn(classes):
    network = torchvision.models.vgg11(num_classes=classes)
    network.features[1] = nn.Sequential(nn.ReLU(), krizhevsky_norm())
    return network


def vgg11_prelu(classes):
    """torchvision's, in which every channel of every rectifier learns its slope."""
    network = torchvision.models.vgg11(num_classes=classes)
    for layers in (network.features, network.classifier):
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.ReLU):
                before = layers[index - 1]
                channels = before.out_channels if layers is network.features else before.out_features
                layers[index] = nn.PReLU(channels)
    return network


def vgg16_c(build):
    """Configuration D of torchvision, with 1x1 convolutions where it is C."""

    def changed(classes):
        network = build(num_classes=classes)
        convs = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)]
        for i in (convs[6], convs[9], convs[12]):
            conv = network.features[i]
            network.features[i] = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
        return network

    return changed


def cifar_vgg(build):
    """The features of torchvision's, and hidden fully connected layers of 512 features, as in
    github.com/chenyaofo/pytorch-cifar-models."""

    def changed(classes):
        network = build(num_classes=classes)
        network.avgpool = nn.AdaptiveAvgPool2d(1)
        network.classifier[0] = nn.Linear(512, 512)
        network.classifier[3] = nn.Linear(512, 512)
        network.classifier[6] = nn.Linear(512, classes)
        return network

    return changed


def vggs():
    where = "Simonyan and Zisserman 2014 table 1, torchvision's with "
    lrn, c = where + "a normalisation", where + "1x1 convolutions"
    return {
        "vgg11": torchvision_("vgg11", small=32),
        "vgg11_lrn": paper(vgg11_lrn, lrn, 224, 32, 1000),
        "vgg13": torchvision_("vgg13", small=32),
        "vgg16_c": paper(vgg16_c(torchvision.models.vgg16), c, 224, 32, 1000),
        "vgg16": torchvision_("vgg16", small=32),
        "vgg19": torchvision_("vgg19", small=32),
        "vgg11_bn": torchvision_("vgg11_bn", small=32),
        "vgg13_bn": torchvision_("vgg13_bn", small=32),
        "vgg16_c_bn": paper(vgg16_c(torchvision.models.vgg16_bn), c, 224, 32, 1000),
        "vgg16_bn": torchvision_("vgg16_bn", small=32),
        "vgg19_bn": torchvision_("vgg19_bn", small=32),
        **{
            f"cifar_{name}": paper(
                cifar_vgg(getattr(torchvision.models, name)),
                "chenyaofo/pytorch-cifar-models, torchvision's features",
                32,
                32,
                10,
            )
            for name in ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")
        },
    }


def torchvision_(name, image=224, small=64):
    """As torchvision has it."""

    def build(classes):
        return getattr(torchvision.models, name)(num_classes=classes)

    version = torchvision.__version__.split("+")[0]
    return Network(build, f"torchvision {version}", image, small, 1000)


def cifar(n, residual=True):
    where = "He et al. 2015 section 4.2"
    network = paper(lambda classes: CifarResNet(n, residual, classes), where)
    return replace(network, gain=0.25 if n == 200 else 1.0)


def overfeat(table, rows, seen, hidden, size):
    where = f"Sermanet et al. 2013 table {table}"
    return paper(lambda classes: OverFeat(rows, seen, hidden, classes), where, size, size, 1000)


def highway(*stages):
    where = "Srivastava et al. 2015 section 3.3 and the authors' Caffe model"
    return paper(lambda classes: Highway(stages, classes), where)


def preact(n, bottleneck):
    where = "He et al. 2016 (identity mappings) and the authors' Torch model"
    return paper(lambda classes: PreActResNet(n, 1, bottleneck, classes), where)


def wide(depth, k):
    where = "Zagoruyko and Komodakis 2016 table 1"
    return paper(lambda classes: PreActResNet((depth - 4) // 6, k, False, classes), where)


def cifar_densenet(depth, growth, bc=False):
    where = "Huang et al. 2016 section 3"
    return paper(lambda classes: CifarDenseNet(depth, growth, bc, classes), where)


def timm_(name, image=224, small=64):
    """As timm has it."""

    def build(classes):
        return timm.create_model(name, num_classes=classes)

    return Network(build, f"timm {timm.__version__}", image, small, 1000)


def inceptions():
    def googlenet(naive):
        return lambda classes: inception.GoogLeNet(classes, krizhevsky_norm(), naive)

    table = "Szegedy et al. 2014 table 1 and figure "
    se = "Ioffe and Szegedy 2015 figure 5 and Hu et al. 2017 figure 2"
    return {
        "googlenet": torchvision_("googlenet"),
        "googlenet2014": paper(googlenet(naive=False), table + "3", 224, 96, 1000),
        "inception_naive": paper(googlenet(naive=True), table + "2(a)", 224, 96, 1000),
        "bn_inception": paper(
            inception.BNInception, "Ioffe and Szegedy 2015 figure 5", 224, 64, 1000
        ),
        "se_inception": paper(
            lambda classes: inception.BNInception(classes, reduction=16), se, 224, 64, 1000
        ),
        "inception_v3": torchvision_("inception_v3", 299, 107),
        "inception_v4": timm_("inception_v4", 299, 107),
        "inception_resnet_v1": paper(
            inception.InceptionResNetV1, "Szegedy et al. 2016 figures 7 and 10 to 15", 299, 107, 1000
        ),
        "inception_resnet_v2": timm_("inception_resnet_v2", 299, 107),
    }


# Height and width of the published images.
EFFICIENTNETS = {"b0": 224, "b1": 240, "b2": 288, "b3": 300, "b4": 380, "b5": 456, "b6": 528, "b7": 600}


class Gated(nn.Module):
    """A CIFAR block whose path is gated, with reduction 16."""

    def __init__(self, block):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = block.conv1, block.bn1, block.conv2, block.bn2
        channels = block.conv2.out_channels
        self.se = inception.SqueezeExcitation(channels, channels // 16)
        self.stride, self.padding = block.stride, block.padding

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding)))


def se_resnet110(classes):
    network = CifarResNet(18, classes=classes)
    for stage in (network.layer1, network.layer2, network.layer3):
        for index, block in enumerate(stage):
            stage[index] = Gated(block)
    return network


def senets():
    return {
        "se_resnet110": paper(se_resnet110, "Hu et al. 2017 figure 3 and table 4"),
        "se_resnet50": timm_("legacy_seresnet50"),
        "se_resnet101": timm_("legacy_seresnet101"),
        "se_resnet152": timm_("legacy_seresnet152"),
        "se_resnext50_32x4d": timm_("legacy_seresnext50_32x4d"),
        "senet154": timm_("legacy_senet154"),
        "seresnet50": timm_("seresnet50"),
    }


class DeformConv2d(nn.Conv2d):
    """torchvision's operation; `offset` says how far taps move and, where modulated, their weights."""

    def __init__(self, conv, modulated):
        super().__init__(
            conv.in_channels, conv.out_channels, 3, conv.stride, conv.padding, bias=False
        )
        values = 27 if modulated else 18
        self.offset = nn.Conv2d(conv.in_channels, values, 3, conv.stride, conv.padding)

    def forward(self, x):
        said = self.offset(x)
        offsets, mask = said[:, :18], said[:, 18:].sigmoid()
        return torchvision.ops.deform_conv2d(
            x,
            offsets,
            self.weight,
            stride=self.stride,
            padding=self.padding,
            mask=mask if mask.shape[1] else None,
        )


def deformable(stages, modulated):
    """torchvision's ResNet-50 with deformable 3x3 convolutions in these stages."""

    def build(classes):
        network = torchvision.models.resnet50(num_classes=classes)
        for stage in stages:
            for block in getattr(network, f"layer{stage}"):
                block.conv2 = DeformConv2d(block.conv2, modulated)
        return network

    return build


def deformables():
    v1 = "Dai et al. 2017, torchvision's ResNet-50 and deform_conv2d"
    v2 = "Zhu et al. 2018 section 3.1, torchvision's ResNet-50 and deform_conv2d"
    return {
        "deform_resnet50": paper(deformable([4], modulated=False), v1, 224, 64, 1000),
        "deform_resnet50_v2": paper(deformable([2, 3, 4], modulated=True), v2, 224, 64, 1000),
    }


class ScaleFreeNorm(nn.BatchNorm2d):
    """Batch normalisation whose scale stays 1, and whose statistics follow the batches quickly."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad = False


class AirbenchStage(nn.Module):
    """Two 3x3 convolutions, of which the first is pooled before it is normalised."""

    def __init__(self, channels, width):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm1 = ScaleFreeNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = ScaleFreeNorm(width)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def airbench94(classes):
    """Jordan 2024, section 3.1; the patches of the first convolution are 2x2 pixels of three colours."""
    widths = (2 * 3 * 2 * 2, 64, 256, 256)
    stages = [AirbenchStage(*pair) for pair in zip(widths, widths[1:])]
    return nn.Sequential(
        nn.Conv2d(3, widths[0], 2),
        nn.GELU(),
        *stages,
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(widths[-1], classes, bias=False),
        Scaled(1 / 9),
    )


DEPTHS = {8: 1, 20: 3, 32: 5, 44: 7, 56: 9, 110: 18, 1202: 200}

NETWORKS = {
    "lenet5": paper(LeNet5, "LeCun et al. 1998 section II.B", 28, 28, channels=1),
    "alexnet2012": paper(alexnet2012, "Krizhevsky et al. 2012 section 3.5", 224, 63, 1000),
    "alexnet": torchvision_("alexnet", small=63),
    "nin": paper(Nin, "Lin et al. 2013 and the authors' Caffe model"),
    "overfeat_fast": overfeat(1, OverFeat.FAST, 6, 3072, 231),
    "overfeat_accurate": overfeat(3, OverFeat.ACCURATE, 5, 4096, 221),
    **vggs(),
    **inceptions(),
    "highway19": highway((4, 32), (5, 80), (5, 128)),
    **{f"highway{depth}": highway((d, 32), (d, 48), (d, 64)) for depth, d in ((20, 5), (32, 9), (56, 17))},
    **{f"plain{depth}": cifar(n, residual=False) for depth, n in DEPTHS.items() if depth < 1202},
    **{f"resnet{depth}": cifar(n) for depth, n in DEPTHS.items()},
    "resnet18_cifar": paper(resnet18_cifar, "He et al. 2015 table 1, the stem of section 4.2"),
    **{
        f"plain{depth}": paper(
            plain(getattr(torchvision.models, f"resnet{depth}")),
            "He et al. 2015 table 1, torchvision's without shortcuts",
            224,
            64,
            1000,
        )
        for depth in (18, 34)
    },
    **{f"resnet{depth}": torchvision_(f"resnet{depth}") for depth in (18, 34, 50, 101, 152)},
    **{name: torchvision_(name) for name in ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d")},
    "resnext29_8x64d": paper(resnext29(8), "Xie et al. 2016 section 5.3, torchvision's blocks"),
    "resnext29_16x64d": paper(resnext29(16), "Xie et al. 2016 section 5.3, torchvision's blocks"),
    "wide_resnet50_2": torchvision_("wide_resnet50_2"),
    "wide_resnet101_2": torchvision_("wide_resnet101_2"),
    "preact_resnet110": preact(18, bottleneck=False),
    "preact_resnet164": preact(18, bottleneck=True),
    "preact_resnet1001": preact(111, bottleneck=True),
    "wide_resnet16_8": wide(16, 8),
    "wide_resnet28_10": wide(28, 10),
    "wide_resnet40_4": wide(40, 4),
    "wide_resnet40_10": wide(40, 10),
    **senets(),
    **deformables(),
    "squeezenet1_0": torchvision_("squeezenet1_0"),
    "squeezenet1_1": torchvision_("squeezenet1_1"),
    **{f"densenet{depth}": torchvision_(f"densenet{depth}") for depth in (121, 161, 169, 201)},
    "densenet264": paper(densenet264, "Huang et al. 2016 table 1, torchvision's blocks", 224, 64, 1000),
    "densenet40_12": cifar_densenet(40, 12),
    "densenet100_12": cifar_densenet(100, 12),
    "densenet100_24": cifar_densenet(100, 24),
    "densenet_bc100_12": cifar_densenet(100, 12, bc=True),
    "densenet_bc250_24": cifar_densenet(250, 24, bc=True),
    "densenet_bc190_40": cifar_densenet(190, 40, bc=True),
    **{
        f"efficientnet_{name}": torchvision_(f"efficientnet_{name}", image)
        for name, image in EFFICIENTNETS.items()
    },
    "airbench94": paper(airbench94, "Jordan 2024 section 3.1"),
}



def without_normalization(build):
    """Convolutions with biases and no normalisations, in a network whose convolutions are all normalised."""

    def changed(classes):
        network = build(classes)
        for module in list(network.modules()):
            for name, layer in list(module.named_children()):
                if isinstance(layer, nn.Conv2d):
                    conv = nn.Conv2d(
                        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
                    )
                    setattr(module, name, conv)
                elif isinstance(layer, nn.BatchNorm2d):
                    setattr(module, name, nn.Identity())
        return network

    return changed


def bare(build):
    """No paper's: He et al. 2015 without normalisation."""
    return paper(without_normalization(build), "He et al. 2015 section 4.2, not normalised")


def manipulated(combine, gated=False):
    where = "He et al. 2016 (identity mappings) figure 2"
    return paper(lambda classes: with_manipulation(CifarResNet(3, classes=classes), combine, gated), where)


# Networks with options of a recipe's `[model]`, by name and options.
VARIANTS = {
    ("vgg11", '{"activation": "prelu"}'): paper(
        vgg11_prelu, "He et al. 2015 (rectifiers) section 2.1, torchvision's", 224, 32, 1000
    ),
    ("resnet20", '{"activation": "prelu"}'): paper(
        lambda classes: with_prelu(CifarResNet(3, classes=classes)), "He et al. 2015 (rectifiers) section 2.1"
    ),
    ("plain20", '{"normalization": "none"}'): bare(lambda classes: CifarResNet(3, False, classes)),
    ("resnet20", '{"normalization": "none"}'): bare(lambda classes: CifarResNet(3, classes=classes)),
    ("resnet50", '{"normalization": "none"}'): paper(
        without_normalization(lambda classes: torchvision.models.resnet50(num_classes=classes)),
        "He et al. 2015 table 1, torchvision's, not normalised", 224, 64, 1000,
    ),
    ("resnet20", '{"manipulation": {"scaling": {"shortcut": 0.5, "path": 0.25}}}'): manipulated(
        lambda shortcut, path, gate: 0.5 * shortcut + 0.25 * path
    ),
    ("resnet20", '{"manipulation": {"exclusive_gating": {"bias": -6}}}'): manipulated(
        lambda shortcut, path, gate: (1 - gate) * shortcut + gate * path, gated=True
    ),
    ("resnet20", '{"manipulation": {"shortcut_only_gating": {"bias": 0}}}'): manipulated(
        lambda shortcut, path, gate: (1 - gate) * shortcut + path, gated=True
    ),
    ("resnet20", '{"manipulation": {"dropout": 0.5}}'): manipulated(lambda shortcut, path, gate: shortcut + path),
}
