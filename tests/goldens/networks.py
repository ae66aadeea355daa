"""The networks of Kiln's registry in PyTorch, under the names that Kiln's weight files use.

Where torchvision has the shape, the network is torchvision's.
"""

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

    def __init__(self, n, residual=True):
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
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class LeNet5(nn.Module):
    """LeCun et al. 1998, section II.B, on 28x28 images, with mean pooling."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        def squash(x):
            return 1.7159 * torch.tanh(2 / 3 * x)

        x = F.avg_pool2d(squash(self.conv1(x)), 2)
        x = F.avg_pool2d(squash(self.conv2(x)), 2)
        x = squash(self.fc2(squash(self.fc1(x.flatten(1)))))
        return self.fc3(x)


def resnet18_cifar():
    """torchvision's ResNet-18 with a 3x3 stem at stride 1 and no pooling."""
    network = torchvision.models.resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    network.maxpool = nn.Identity()
    return network


NETWORKS = {
    "lenet5": LeNet5,
    "plain8": lambda: CifarResNet(1, residual=False),
    "resnet8": lambda: CifarResNet(1),
    "resnet20": lambda: CifarResNet(3),
    "resnet18_cifar": resnet18_cifar,
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "resnet50": lambda: torchvision.models.resnet50(num_classes=10),
}
