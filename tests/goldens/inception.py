"""Inception networks after the papers' own tables, where no library has them."""

import torch
import torch.nn.functional as F
from torch import nn


class Conv(nn.Module):
    """Convolution and ReLU; with batch normalisation in place of biases where `norm` says so."""

    def __init__(self, channels, filters, kernel, stride=1, padding="same", norm=True, epsilon=1e-3):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padding == "same" else 0
        self.conv = nn.Conv2d(channels, filters, (height, width), stride, padding, bias=not norm)
        if norm:
            self.bn = nn.BatchNorm2d(filters, eps=epsilon)

    def forward(self, x):
        x = self.conv(x)
        return F.relu(self.bn(x) if hasattr(self, "bn") else x)


class Branches(nn.Module):
    """Branches of the same input, joined; gated where `reduction` says so."""

    def __init__(self, branches, channels=0, reduction=None):
        super().__init__()
        self.names = list(branches)
        for name, branch in branches.items():
            setattr(self, name, branch)
        self.gate = bool(reduction)
        if self.gate:
            self.se_module = SqueezeExcitation(channels, channels // reduction)

    def forward(self, x):
        joined = torch.cat([getattr(self, name)(x) for name in self.names], 1)
        return self.se_module(joined) if self.gate else joined


class SqueezeExcitation(nn.Module):
    """Hu et al. 2017, equations 2 to 4, with biases."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Auxiliary(nn.Module):
    """Szegedy et al. 2014, section 5."""

    def __init__(self, channels, classes):
        super().__init__()
        self.conv = Conv(channels, 128, 1, norm=False)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, classes)


class GoogLeNet(nn.Module):
    """Szegedy et al. 2014, table 1 and figure 3, of the modules of figure 2(b) or 2(a)."""

    TABLE = {
        "3a": (64, 96, 128, 16, 32, 32),
        "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
        "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }

    def __init__(self, classes, norm, naive=False):
        super().__init__()
        self.conv1 = Conv(3, 64, 7, 2, norm=False)
        self.conv2 = Conv(64, 64, 1, norm=False)
        self.conv3 = Conv(64, 192, 3, norm=False)
        self.norm = norm
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        module, channels = (self.naive if naive else self.reduced), 192
        for name, row in self.TABLE.items():
            branches, channels = module(channels, *row)
            setattr(self, f"inception{name}", Branches(branches))
            if name in ("4a", "4d"):
                setattr(self, "aux1" if name == "4a" else "aux2", Auxiliary(channels, classes))
        self.fc = nn.Linear(channels, classes)

    @staticmethod
    def reduced(channels, one, to3, three, to5, five, projected):
        def conv(channels, filters, kernel):
            return Conv(channels, filters, kernel, norm=False)

        branches = {
            "branch1": conv(channels, one, 1),
            "branch2": nn.Sequential(conv(channels, to3, 1), conv(to3, three, 3)),
            "branch3": nn.Sequential(conv(channels, to5, 1), conv(to5, five, 5)),
            "branch4": nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, projected, 1)),
        }
        return branches, one + three + five + projected

    @staticmethod
    def naive(channels, one, _to3, three, _to5, five, _projected):
        branches = {
            "branch1": Conv(channels, one, 1, norm=False),
            "branch2": Conv(channels, three, 3, norm=False),
            "branch3": Conv(channels, five, 5, norm=False),
            "branch4": nn.MaxPool2d(3, 1, 1),
        }
        return branches, one + three + five + channels

    def forward(self, x):
        x = self.norm(self.pool(self.conv1(x)))
        x = self.pool(self.norm(self.conv3(self.conv2(x))))
        for name in self.TABLE:
            if name in ("4a", "5a"):
                x = self.pool(x)
            x = getattr(self, f"inception{name}")(x)
        return self.fc(x.mean((2, 3)))


class BNInception(nn.Module):
    """Ioffe and Szegedy 2015, figure 5; gated as in Hu et al. 2017 where `reduction` says so."""

    # 1x1; 3x3 reduce, 3x3; double 3x3 reduce, double 3x3; pool, proj.
    TABLE = {
        "3a": (64, 64, 64, 64, 96, "avg", 32),
        "3b": (64, 64, 96, 64, 96, "avg", 64),
        "3c": (0, 128, 160, 64, 96, "max", 0),
        "4a": (224, 64, 96, 96, 128, "avg", 128),
        "4b": (192, 96, 128, 96, 128, "avg", 128),
        "4c": (160, 128, 160, 128, 160, "avg", 128),
        "4d": (96, 128, 192, 160, 192, "avg", 128),
        "4e": (0, 128, 192, 192, 256, "max", 0),
        "5a": (352, 192, 320, 160, 224, "avg", 128),
        "5b": (352, 192, 320, 192, 224, "max", 128),
    }

    def __init__(self, classes, reduction=None):
        super().__init__()
        self.conv1 = self.conv(3, 64, 7, 2)
        self.conv2 = self.conv(64, 64, 1)
        self.conv3 = self.conv(64, 192, 3)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        channels = 192
        for name, row in self.TABLE.items():
            branches, channels = self.module(channels, *row)
            setattr(self, f"inception{name}", Branches(branches, channels, reduction))
        self.fc = nn.Linear(channels, classes)

    @staticmethod
    def conv(channels, filters, kernel, stride=1):
        return Conv(channels, filters, kernel, stride, epsilon=1e-5)

    def module(self, channels, one, to3, three, to_double, double, pool, projected):
        stride = 1 if one else 2
        single = nn.Sequential(self.conv(channels, to3, 1), self.conv(to3, three, 3, stride))
        twice = nn.Sequential(
            self.conv(channels, to_double, 1),
            self.conv(to_double, double, 3),
            self.conv(double, double, 3, stride),
        )
        pool = nn.AvgPool2d(3, 1, 1) if pool == "avg" else nn.MaxPool2d(3, stride, 1)
        branches = {"branch2": single, "branch3": twice}
        if not one:
            return branches | {"branch4": pool}, channels + three + double
        branches = {"branch1": self.conv(channels, one, 1), **branches}
        branches["branch4"] = nn.Sequential(pool, self.conv(channels, projected, 1))
        return branches, one + three + double + projected

    def forward(self, x):
        x = self.pool(self.conv1(x))
        x = self.pool(self.conv3(self.conv2(x)))
        for name in self.TABLE:
            x = getattr(self, f"inception{name}")(x)
        return self.fc(x.mean((2, 3)))


class Residual(nn.Module):
    """relu(x + scale * conv(branches))."""

    def __init__(self, channels, scale, *branches):
        super().__init__()
        self.count = len(branches)
        joined = 0
        for index, branch in enumerate(branches):
            setattr(self, f"branch{index}", branch)
            last = branch if isinstance(branch, Conv) else branch[-1]
            joined += last.conv.out_channels
        self.conv2d = nn.Conv2d(joined, channels, 1)
        self.scale = scale

    def forward(self, x):
        joined = torch.cat([getattr(self, f"branch{i}")(x) for i in range(self.count)], 1)
        return F.relu(x + self.scale * self.conv2d(joined))


class Reduction(nn.Module):
    """branch0, branch1, ... and a 3x3 max pool at stride 2, joined."""

    def __init__(self, *branches):
        super().__init__()
        self.count = len(branches)
        for index, branch in enumerate(branches):
            setattr(self, f"branch{index}", branch)

    def forward(self, x):
        joined = [getattr(self, f"branch{i}")(x) for i in range(self.count)]
        return torch.cat([*joined, F.max_pool2d(x, 3, 2)], 1)


class InceptionResNetV1(nn.Module):
    """Szegedy et al. 2016, figures 7 and 10 to 15."""

    def __init__(self, classes):
        super().__init__()

        def valid(channels, filters, stride):
            return Conv(channels, filters, 3, stride, padding=0)

        self.conv2d_1a = valid(3, 32, 2)
        self.conv2d_2a = valid(32, 32, 1)
        self.conv2d_2b = Conv(32, 64, 3)
        self.conv2d_3b = Conv(64, 80, 1)
        self.conv2d_4a = valid(80, 192, 1)
        self.conv2d_4b = valid(192, 256, 2)
        self.repeat = nn.Sequential(*(self.figure10() for _ in range(5)))
        self.mixed_6a = Reduction(
            valid(256, 384, 2),
            nn.Sequential(Conv(256, 192, 1), Conv(192, 192, 3), valid(192, 256, 2)),
        )
        self.repeat_1 = nn.Sequential(*(self.crossed(896, 128, 7, 0.10) for _ in range(10)))
        self.mixed_7a = Reduction(
            nn.Sequential(Conv(896, 256, 1), valid(256, 384, 2)),
            nn.Sequential(Conv(896, 256, 1), valid(256, 256, 2)),
            nn.Sequential(Conv(896, 256, 1), Conv(256, 256, 3), valid(256, 256, 2)),
        )
        self.repeat_2 = nn.Sequential(*(self.crossed(1792, 192, 3, 0.20) for _ in range(5)))
        self.classif = nn.Linear(1792, classes)

    @staticmethod
    def figure10():
        twice = nn.Sequential(Conv(256, 32, 1), Conv(32, 32, 3))
        thrice = nn.Sequential(Conv(256, 32, 1), Conv(32, 32, 3), Conv(32, 32, 3))
        return Residual(256, 0.17, Conv(256, 32, 1), twice, thrice)

    @staticmethod
    def crossed(channels, width, length, scale):
        """Figures 11 and 13."""
        branch = nn.Sequential(
            Conv(channels, width, 1),
            Conv(width, width, (1, length)),
            Conv(width, width, (length, 1)),
        )
        return Residual(channels, scale, Conv(channels, width, 1), branch)

    def forward(self, x):
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4a(self.conv2d_3b(F.max_pool2d(x, 3, 2)))
        x = self.repeat(self.conv2d_4b(x))
        x = self.repeat_1(self.mixed_6a(x))
        x = self.repeat_2(self.mixed_7a(x))
        return self.classif(x.mean((2, 3)))
