"""Races `train bench` against the same step in PyTorch, and prints the results as Markdown.

    cargo build --workspace
    python benches/race.py target/debug/train
    python benches/race.py target/debug/train --rows resnet20,resnet56 --rounds 5 --threads 2

Needs PyTorch and torchvision (for some rows timm, for inference onnx, onnxruntime and tract), which Kiln itself never
does, and a machine that does nothing else. On the CPU, in f32.

A round runs Kiln, PyTorch in its own layout (NCHW), PyTorch with `channels_last` and, in inference, onnxruntime and
tract, each in a process of its own and after a warm-up, and the next round begins with the next of them. Speeds are
medians over the rounds. The ratio is of Kiln to the better of PyTorch's two layouts within a round, the median over the
rounds: above 1, Kiln is faster. PyTorch runs eagerly, tract on one thread, which is all that it has. A training step is
the forward pass, cross-entropy (of auxiliary classifiers, too), the backward pass, and SGD with momentum 0.9 and weight
decay 1e-4. Memory is the most that the process ever held, of PyTorch in the layout that held less; some 0.25 GiB of
PyTorch's are its libraries.
"""

import argparse
import io
import json
import math
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "goldens"))
from networks import NETWORKS

Row = namedtuple("Row", "model mode batch steps")
Figures = namedtuple("Figures", "images_per_second peak")

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
    """Kiln's figures."""
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
    figures = json.loads(output)
    return Figures(figures["images_per_second"], figures["peak_memory_bytes"])


def in_a_process(run, row, threads):
    """The figures of `run`, a function of this file, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (run, row, threads))


def measured(run, row, threads):
    torch.set_num_threads(threads)
    images_per_second = run(row)
    return Figures(images_per_second, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def pytorch(row):
    """Images a second of PyTorch in its own layout."""
    return pytorch_in(torch.contiguous_format, row)


def pytorch_channels_last(row):
    """Images a second of PyTorch with `channels_last`."""
    return pytorch_in(torch.channels_last, row)


def pytorch_in(layout, row):
    network, images, labels = drawn(row)
    network, images = network.to(memory_format=layout), images.to(memory_format=layout)
    step = training(network, images, labels) if row.mode == "train" else inference(network, images)
    return speed(row, step)


def onnxruntime(row):
    """Images a second of onnxruntime, in inference."""
    if row.mode != "infer":
        return math.nan
    import onnxruntime

    model, images = exported(row)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: images}
    return speed(row, lambda: session.run(None, feed))


def tract(row):
    """Images a second of tract, in inference."""
    if row.mode != "infer":
        return math.nan
    import tract

    model, images = exported(row)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        model = tract.onnx().load(file.name)
    model.set_input_fact(0, ",".join(map(str, images.shape)) + ",f32")
    runnable = model.into_model().into_runnable()
    return speed(row, lambda: runnable.run([images]))


def exported(row):
    """A network in ONNX, and images."""
    network, images, _ = drawn(row)
    file = io.BytesIO()
    torch.onnx.export(network.eval(), (images,), file, dynamo=False)
    return file.getvalue(), images.numpy()


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
    """The figures of Kiln and of each of `OTHERS`, a round at a time."""
    runners = [lambda: kiln(row, binary, threads)]
    runners += [lambda run=run: in_a_process(run, row, threads) for run in OTHERS]
    for first in range(rounds):
        figures = {}
        for place in range(len(runners)):
            runner = (first + place) % len(runners)
            figures[runner] = runners[runner]()
        yield [figures[runner] for runner in range(len(runners))]


def cells(rounds):
    """A row of the table."""
    speeds = [median(figures.images_per_second for figures in column) for column in zip(*rounds)]
    yield from ("" if math.isnan(speed) else f"{speed:.1f}" for speed in speeds)
    ratios = [
        kiln.images_per_second / max(nchw.images_per_second, nhwc.images_per_second)
        for kiln, nchw, nhwc, *_ in rounds
    ]
    yield f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    yield f"{median(kiln.peak for kiln, *_ in rounds) / 2**30:.2f}"
    yield f"{median(min(nchw.peak, nhwc.peak) for _, nchw, nhwc, *_ in rounds) / 2**30:.2f}"


# What Kiln is raced against; PyTorch comes first.
OTHERS = [pytorch, pytorch_channels_last, onnxruntime, tract]


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

    print(
        f"{processor()}, {arguments.threads} threads, f32; PyTorch {torch.__version__}, "
        f"{arguments.rounds} rounds; images/s, GiB\n"
    )
    print(
        "| step | batch | Kiln | PyTorch, NCHW | PyTorch, channels_last | onnxruntime | tract "
        "| ratio (lowest to highest) | memory, Kiln | memory, PyTorch |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in names:
        row = ROWS[name]
        rounds = list(race(row, arguments.binary, arguments.threads, arguments.rounds))
        step = f"{row.model}, {row.mode}, {NETWORKS[row.model].image} px"
        print(f"| {step} | {row.batch} | {' | '.join(cells(rounds))} |", flush=True)


if __name__ == "__main__":
    main()
