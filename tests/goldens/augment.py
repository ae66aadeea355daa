"""Writes augment.json: what torchvision's transforms make of two small pictures, on Pillow's images.

Each case has what was chosen, as torchvision's functionals take it, and the pixels: three bytes each in hexadecimal, row by
row. One picture has smooth colours with an edge, the other one a value of its own almost everywhere.
"""

import json
from pathlib import Path

import numpy as np
import PIL
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from images import picture

SMOOTH = Image.fromarray(picture(19, 14))
Y, X = np.mgrid[0:11, 0:12]
BUSY = Image.fromarray(np.stack([(37 * X + 91 * Y + 53 * c) * (3 + c) % 251 for c in range(3)], -1).astype(np.uint8))
IMAGES = {"smooth": SMOOTH, "busy": BUSY}
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def part(image, top, left, height, width, size, mode):
    return F.resized_crop(image, top, left, height, width, [size, size], MODES[mode], antialias=True)


def scale(image, side, top, left, size, mode):
    return F.crop(F.resize(image, [side], MODES[mode], antialias=True), top, left, size, size)


def jitter(image, *steps):
    adjust = {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "hue": F.adjust_hue,
    }
    for name, factor in steps:
        image = adjust[name](image, factor)
    return image


def operation(image, name, magnitude):
    return v2.AutoAugment()._apply_image_or_video_transform(image, name, magnitude, InterpolationMode.NEAREST, {})


def magnitudes(name):
    if name in ("Identity", "AutoContrast", "Equalize", "Invert"):
        return [0.0]
    if name == "Posterize":
        return [8, 4, 2]
    if name == "Solarize":
        return [1.0, 0.5, 0.0]
    # As the magnitudes of a tensor are.
    largest = {"Shear": 0.99, "Trans": 5.6, "Rotat": 135.0}.get(name[:5], 0.99)
    return [float(np.float32(share * largest)) for share in (0.3, -0.3, 1, -1)]


def cases():
    for name in IMAGES:
        for choice in [(0, 0, 11, 12, 6), (3, 2, 7, 5, 8), (2, 1, 5, 9, 4)]:
            for mode in MODES:
                yield name, "part", [*choice, mode]
        yield name, "scale", [8, 0, 1, 7, "bilinear"]
        yield name, "scale", [17, 4, 0, 12, "bicubic"]
        for step in [("brightness", 0.6), ("brightness", 1.4), ("contrast", 0.6), ("contrast", 1.4)]:
            yield name, "jitter", [step]
        for step in [("saturation", 0.6), ("saturation", 1.4), ("hue", 0.1), ("hue", -0.3)]:
            yield name, "jitter", [step]
        yield name, "jitter", [("hue", 0.05), ("contrast", 1.2), ("brightness", 0.9), ("saturation", 1.3)]
        for kind in ["Identity", *v2.AutoAugment._AUGMENTATION_SPACE]:
            for magnitude in magnitudes(kind):
                yield name, "operation", [kind, magnitude]


def described(image):
    return {"width": image.width, "height": image.height, "pixels": image.tobytes().hex()}


def main():
    golden = {
        "pillow": PIL.__version__,
        "torchvision": torchvision.__version__.split("+")[0],
        "images": {name: described(image) for name, image in IMAGES.items()},
        "cases": [
            {"image": name, "kind": kind, "choice": choice, **described(globals()[kind](IMAGES[name], *choice))}
            for name, kind, choice in cases()
        ],
        # Rows of an operation's magnitudes: those of AutoAugment, RandAugment and TrivialAugmentWide for 12 columns, 11 rows.
        "magnitudes": {
            transform.__name__: {
                name: None if (found := of(bins, 11, 12)) is None else found.double().tolist()
                for name, (of, _) in transform._AUGMENTATION_SPACE.items()
            }
            for transform, bins in [(v2.AutoAugment, 10), (v2.RandAugment, 31), (v2.TrivialAugmentWide, 31)]
        },
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
