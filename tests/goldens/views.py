"""Writes views.json: the loss of PyTorch's LeNet-5 on images of several sizes, by what is looked at in each.

Its weights are those of forward.py's rule. Pixel i of the image of class k is 256 u, rounded down, where u is element i of
the tensor called `image` and k. Images are scaled by Pillow (bilinear), and normalised by a mean of 0.5 and a deviation of
0.25. What is averaged over the views is the softmax of the scores, or for `mirror-translate` the scores themselves; where the network slides over a view, as a network of
convolutions, the scores are averaged over the places first.
"""

import json
import math
from pathlib import Path

import PIL
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torchvision.transforms.v2 import functional as V

from forward import tensor, uniform
from networks import LeNet5

SIDE = 28
# Height and width of the image of each class.
SIZES = [(40, 40), (40, 57), (61, 40), (40, 90)]


def picture(label):
    height, width = SIZES[label]
    pixels = torch.from_numpy(uniform(f"image{label}", height * width) * 256).to(torch.uint8)
    return Image.fromarray(pixels.reshape(height, width).numpy())


def lenet5():
    network = LeNet5().double()
    network.load_state_dict({name: tensor(name, value.shape) for name, value in network.state_dict().items()})
    return network.eval()


def slide(network, x):
    """The network with convolutions in place of its fully connected layers, and the mean of its map."""

    def squash(x):
        return 1.7159 * torch.tanh(2 / 3 * x)

    x = F.avg_pool2d(squash(network.conv1(x)), 2)
    x = F.avg_pool2d(squash(network.conv2(x)), 2)
    for layer, kernel in ((network.fc1, 4), (network.fc2, 1), (network.fc3, 1)):
        weight = layer.weight.reshape(len(layer.weight), -1, kernel, kernel)
        x = F.conv2d(x if layer is network.fc1 else squash(x), weight, layer.bias)
    return x.mean((2, 3))


def scaled(image, side, padding=0):
    return F.pad(V.pil_to_tensor(V.resize(image, side)).double() / 255, [padding] * 4)


def five(image):
    return list(V.five_crop(image, SIDE))


def grid(image):
    down, right = image.shape[1] - SIDE, image.shape[2] - SIDE
    return [V.crop(image, i * down // 4, j * right // 4, SIDE, SIDE) for i in range(5) for j in range(5)]


def reflected(views):
    return views + [V.horizontal_flip(view) for view in views]


def shifted(image):
    """The middle twice, and a pixel up and left of it, and down and right, of the image in its reflection."""
    padded = F.pad(image, [1] * 4, mode="reflect")
    middle = V.center_crop(image, SIDE)
    down, right = ((side - SIDE) // 2 for side in image.shape[1:])
    up_left, down_right = (V.crop(padded, down + 2 * i, right + 2 * i, SIDE, SIDE) for i in (0, 1))
    return [middle, middle, up_left, down_right]


# By the flags of `train eval`. The shorter side of each image is 40: these scale none.
UNSCALED = {
    "--view center --resize 40": lambda image: [V.center_crop(scaled(image, 40), SIDE)],
    "--view ten-crop --resize 40": lambda image: reflected(five(scaled(image, 40))),
    "--view ten-crop --resize 40 --padding 3": lambda image: reflected(five(scaled(image, 40, 3))),
    "--view mirror-translate --resize 40": lambda image: reflected(shifted(scaled(image, 40))),
    "--view dense --resize 40": lambda image: reflected([scaled(image, 40)]),
    "--view multi-scale --scales 40": lambda image: reflected([scaled(image, 40)]),
    "--view multi-crop --scales 40": lambda image: reflected(grid(scaled(image, 40))),
}
# Where Kiln scales, a pixel may be a level away from Pillow's.
SCALED = {
    "--view center": lambda image: [V.center_crop(scaled(image, 28), SIDE)],
    "--view ten-crop --padding 3": lambda image: reflected(five(scaled(image, 28, 3))),
    "--view multi-scale --scales 28,33,44": lambda image: reflected([scaled(image, s) for s in (28, 33, 44)]),
    "--view multi-crop --scales 32,44": lambda image: reflected([v for s in (32, 44) for v in grid(scaled(image, s))]),
}


def loss(network, flags, views):
    """The mean over the images of the cross-entropy of the averaged probabilities, or scores."""
    total = 0
    for label in range(len(SIZES)):
        scores = [slide(network, (view[None] - 0.5) / 0.25) for view in views(picture(label))]
        scores = torch.cat(scores)
        if "mirror-translate" in flags:
            scores = scores.mean(0, keepdim=True)
        total -= math.log(scores.softmax(1).mean(0)[label])
    return total / len(SIZES)


def losses(views):
    network = lenet5()
    with torch.no_grad():
        return {flags: float(f"{loss(network, flags, views):.10g}") for flags, views in views.items()}


def main():
    golden = {
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "pillow": PIL.__version__,
        "sizes": SIZES,
        "unscaled": losses(UNSCALED),
        "scaled": losses(SCALED),
    }
    path = Path(__file__).with_name("views.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
