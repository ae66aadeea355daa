"""The networks of Kiln's registry in PyTorch, under the names that Kiln's weight files use.

Where torchvision has the shape, the network is torchvision's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision
from torch import nn


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut is option A: every other pixel, zero channels on both sides."""

    def __init__(self, channels, width, stride, residual):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.residual = stride, residual
        self.padding = (width - channels) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.residual:
            shortcut = x[:, :, :: self.stride, :: self.stride]
            y = y + F.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(y)


class CifarResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n+2 layers of widths 16, 32 and 64."""

    def __init__(self, n, residual=True, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
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
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


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


def paper(build, where, image=32, small=32, classes=10, channels=3):
    """Written here after the paper's section or table."""
    return Network(build, f"networks.py after {where}", image, small, classes, channels)


def krizhevsky_norm():
    """Krizhevsky et al. 2012, section 3.3: PyTorch's alpha is that of the mean, not of the sum."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def vgg11_lrn(classes):
    network = torchvision.models.vgg11(num_classes=classes)
    network.features[1] = nn.Sequential(nn.ReLU(), krizhevsky_norm())
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
    }


def torchvision_(name, image=224, small=64):
    """As torchvision has it."""

    def build(classes):
        return getattr(torchvision.models, name)(num_classes=classes)

    version = torchvision.__version__.split("+")[0]
    return Network(build, f"torchvision {version}", image, small, 1000)


def cifar(n, residual=True):
    where = "He et al. 2015 section 4.2"
    return paper(lambda classes: CifarResNet(n, residual, classes), where)


DEPTHS = {8: 1, 20: 3, 32: 5, 44: 7, 56: 9, 110: 18}

NETWORKS = {
    "lenet5": paper(LeNet5, "LeCun et al. 1998 section II.B", 28, 28, channels=1),
    **vggs(),
    **{f"plain{depth}": cifar(n, residual=False) for depth, n in DEPTHS.items()},
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
}
