"""Races `train bench` against the same step in PyTorch, and prints the results as Markdown.

    cargo build --workspace
    python benches/race.py target/debug/train
    python benches/race.py target/debug/train --rows resnet20,resnet56 --rounds 5 --threads 2

Needs PyTorch and torchvision (for some rows timm, for inference onnx and onnxruntime), which Kiln itself never does,
and a machine that does nothing else. On the CPU, in f32.

A round runs Kiln, PyTorch in its own layout (NCHW), PyTorch with `channels_last` and, in inference, onnxruntime, each
after a warm-up, and the next round begins with the next of them. Speeds are medians over the rounds. The ratio is of
Kiln to the better of PyTorch's two layouts within a round, the median over the rounds: above 1, Kiln is faster. PyTorch
runs eagerly. A training step is the forward pass, cross-entropy (of auxiliary classifiers, too), the backward pass, and
SGD with momentum 0.9 and weight decay 1e-4.
"""

import argparse
import io
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "goldens"))
from networks import NETWORKS

Row = namedtuple("Row", "model mode batch steps")

ROWS = {
    "resnet20": Row("resnet20", "train", 128, 10),
    "resnet56": Row("resnet56", "train", 128, 10),
    "resnet18_cifar": Row("resnet18_cifar", "train", 64, 10),
    "resnet50": Row("resnet50", "train", 16, 5),
    "googlenet": Row("googlenet", "train", 16, 5),
    "vgg11": Row("vgg11", "train", 16, 3),
    "densenet121": Row("densenet121", "train", 16, 5),
    "efficientnet_b0": Row("efficientnet_b0", "train", 16, 5),
    "resnext50_32x4d": Row("resnext50_32x4d", "train", 16, 5),
    "alexnet2012": Row("alexnet2012", "train", 16, 10),
    "se_resnet50": Row("se_resnet50", "train", 16, 5),
    "deform_resnet50": Row("deform_resnet50", "train", 16, 5),
    "resnet50-infer1": Row("resnet50", "infer", 1, 30),
    "resnet50-infer16": Row("resnet50", "infer", 16, 5),
}
# Of the loss of an auxiliary classifier (Szegedy et al. 2014).
AUXILIARY = 0.3
WARM_UP = 3


def kiln(row, binary, threads):
    """Images a second of Kiln."""
    flags = {
        "model": row.model,
        "mode": row.mode,
        "batch": row.batch,
        "size": NETWORKS[row.model].image,
        "classes": NETWORKS[row.model].classes,
        "steps": row.steps,
        "threads": threads,
        "device": "cpu",
        "format": "json",
    }
    words = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    output = subprocess.run([binary, "bench", *words], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)["images_per_second"]


def pytorch(row, layout):
    """Images a second of PyTorch."""
    network, images, labels = drawn(row)
    network, images = network.to(memory_format=layout), images.to(memory_format=layout)
    step = training(network, images, labels) if row.mode == "train" else inference(network, images)
    return speed(row, step)


def onnx(row):
    """Images a second of onnxruntime, in inference."""
    if row.mode != "infer":
        return float("nan")
    import onnxruntime

    network, images, _ = drawn(row)
    file = io.BytesIO()
    torch.onnx.export(network.eval(), (images,), file, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.getvalue(), options, ["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: images.numpy()}
    return speed(row, lambda: session.run(None, feed))


def drawn(row):
    """A network, images and labels."""
    torch.manual_seed(0)
    of = NETWORKS[row.model]
    images = torch.rand(row.batch, of.channels, of.image, of.image).mul(2).sub(1)
    return of.build(of.classes), images, torch.randint(of.classes, (row.batch,))


def speed(row, step):
    """Images a second, after a warm-up."""
    seconds = []
    for _ in range(WARM_UP + row.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return row.batch / median(seconds[WARM_UP:])


def training(network, images, labels):
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        scores = network(images)
        main, *auxiliary = scores if isinstance(scores, tuple) else [scores]
        loss = F.cross_entropy(main, labels)
        for other in auxiliary:
            loss = loss + AUXILIARY * F.cross_entropy(other, labels)
        loss.backward()
        optimizer.step()

    return step


def inference(network, images):
    network.eval()

    @torch.inference_mode()
    def step():
        network(images)

    return step


def race(row, binary, threads, rounds):
    """The speeds of Kiln, PyTorch in NCHW and in channels_last, and onnxruntime, a round at a time."""
    runners = [
        lambda: kiln(row, binary, threads),
        lambda: pytorch(row, torch.contiguous_format),
        lambda: pytorch(row, torch.channels_last),
        lambda: onnx(row),
    ]
    for first in range(rounds):
        speeds = [0.0] * len(runners)
        for place in range(len(runners)):
            runner = (first + place) % len(runners)
            speeds[runner] = runners[runner]()
        yield speeds


def cell(speed):
    """A speed, where there is one."""
    return "" if math.isnan(speed) else f"{speed:.1f}"


def processor():
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the program `train`")
    parser.add_argument("--rows", default=",".join(ROWS), help="which of %(default)s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    names = arguments.rows.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown or arguments.rounds < 1 or arguments.threads < 1:
        parser.error(f"unknown rows: {', '.join(unknown)}" if unknown else "expected 1 or more")
    torch.set_num_threads(arguments.threads)

    print(
        f"{processor()}, {arguments.threads} threads, f32; PyTorch {torch.__version__}, "
        f"{arguments.rounds} rounds; images/s\n"
    )
    print(
        "| step | batch | Kiln | PyTorch, NCHW | PyTorch, channels_last | onnxruntime "
        "| ratio (lowest to highest) |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in names:
        row = ROWS[name]
        speeds = list(race(row, arguments.binary, arguments.threads, arguments.rounds))
        ratios = [kiln / max(nchw, nhwc) for kiln, nchw, nhwc, _ in speeds]
        cells = " | ".join(cell(median(column)) for column in zip(*speeds))
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {row.model}, {row.mode}, {NETWORKS[row.model].image} px | {row.batch} | {cells} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
