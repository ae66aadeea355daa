"""Writes predict.json: the class that PyTorch's SqueezeNet 1.0 sees in each of 100 photographs, and its probability.

    python tests/goldens/predict.py PHOTOGRAPHS WEIGHTS

PHOTOGRAPHS is a folder of ImageNet's images, WEIGHTS a state dict of torchvision's squeezenet1_0. Neither is part of the
project: github.com/EliSchwartz/imagenet-sample-images, and the network of songhan/SqueezeNet-Deep-Compression under
torchvision's names. Images are turned as their EXIF orientation asks, scaled to 256 (bilinear, by Pillow), their middle of
227 is cut out, and they are normalised by ImageNet's mean and standard deviation.

`second` is how far the probability of the second class is behind.
"""

import json
import sys
from pathlib import Path

import PIL
import torch
import torchvision
from PIL import Image, ImageOps
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main(photographs, weights):
    model = torchvision.models.squeezenet1_0()
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    prepare = v2.Compose([
        v2.Resize(256),
        v2.CenterCrop(227),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ])
    golden = {
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "pillow": PIL.__version__,
        "images": {},
    }
    for path in sorted(Path(photographs).rglob("*.JPEG")):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        with torch.no_grad():
            scores = model(prepare(image)[None])[0].double().softmax(0)
        (first, second), (index, _) = scores.topk(2)
        golden["images"][str(path.relative_to(photographs))] = {
            "index": index.item(),
            "score": round(first.item(), 6),
            "second": round((first - second).item(), 6),
        }
    with open(Path(__file__).with_name("predict.json"), "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
