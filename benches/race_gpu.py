"""Races `train bench` on a GPU against the same step in PyTorch on it, and prints the results as Markdown.

    cargo build --workspace --features vulkan
    python benches/race_gpu.py target/debug/train --device vulkan
    python benches/race_gpu.py target/debug/train --device vulkan --rows resnet20,resnet50 --rounds 3

Without a PyTorch that sees the GPU, Kiln's figures stand alone. A round runs Kiln in f32 and in 16 bits
(f16, which every device has; on CUDA also `--half bf16`), PyTorch eagerly in f32 as it comes (its convolutions may use
TF32), and PyTorch compiled, with bf16 autocast and `channels_last`, each in a process of its own and after a warm-up; the
next round begins with the next of them. Kiln's step in f16 is timed without the scaling of the loss that training has, whose
cost is a pass over all gradients and a wait for the device. Speeds are medians over the rounds.
The ratio is of the faster of Kiln's to the faster of PyTorch's within a round, the median over the rounds: above 1, Kiln is
faster. A training step is that of race.py. Memory is the most that the GPU held more than before, whoever holds it: nothing
else should run there.
"""

import argparse
import json
import math
import multiprocessing
import subprocess
import threading
import time
from statistics import median

import race
import torch
from race import Figures, Row

ROWS = {
    "resnet20": Row("resnet20", "train", 512, 50),
    "resnet18_cifar": Row("resnet18_cifar", "train", 512, 30),
    "resnet50": Row("resnet50", "train", 128, 15),
    "densenet121": Row("densenet121", "train", 128, 15),
    "efficientnet_b0": Row("efficientnet_b0", "train", 128, 15),
}
# Compilation, and choosing the fastest kernels, are done by then.
WARM_UP = 10


def memory_used():
    """Bytes that the first GPU holds; none where there is no nvidia-smi."""
    line = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
        return int(output.split()[0]) * 2**20
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return math.nan


class Peak:
    """The most that the GPU held while the block ran, more than before."""

    def __enter__(self):
        self.before = memory_used()
        self.most = self.before
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def watch(self):
        while not self.ended.wait(0.1):
            self.most = max(self.most, memory_used())

    def __exit__(self, *_):
        self.ended.set()
        self.watcher.join()
        self.bytes = self.most - self.before


def kiln(row, arguments, precision):
    """Kiln's figures in this precision."""
    network = race.NETWORKS[row.model]
    flags = {
        "model": row.model,
        "mode": row.mode,
        "batch": row.batch,
        "size": network.image,
        "classes": network.classes,
        "steps": row.steps,
        "device": arguments.device,
        "precision": precision,
        "format": "json",
    }
    words = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
    with Peak() as peak:
        line = [arguments.binary, "bench", *words]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(f"Kiln, {row.model}, {precision}: {done.stderr.strip()[-500:]}\n", flush=True)
        return Figures(math.nan, math.nan)
    return Figures(json.loads(done.stdout)["images_per_second"], peak.bytes)


def pytorch(row, _arguments, compiled):
    """PyTorch's figures, in a process of its own."""
    if not torch.cuda.is_available():
        return Figures(math.nan, math.nan)
    with Peak() as peak, multiprocessing.get_context("spawn").Pool(1) as pool:
        images_per_second = pool.apply(speed, (row, compiled))
    return Figures(images_per_second, peak.bytes)


def speed(row, compiled):
    """Images a second of PyTorch, eagerly in f32, or compiled with bf16 autocast and `channels_last`."""
    network, images, labels = (part.cuda() for part in race.drawn(row))
    if compiled:
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
        network = torch.compile(network)
    step = race.training(network, images, labels)
    seconds = []
    with torch.autocast("cuda", torch.bfloat16, enabled=compiled):
        for _ in range(WARM_UP + row.steps):
            torch.cuda.synchronize()
            start = time.perf_counter()
            step()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    return row.batch / median(seconds[WARM_UP:])


RUNNERS = [
    lambda row, arguments: kiln(row, arguments, "f32"),
    lambda row, arguments: kiln(row, arguments, arguments.half),
    lambda row, arguments: pytorch(row, arguments, False),
    lambda row, arguments: pytorch(row, arguments, True),
]


def rounds_of(row, arguments):
    """The figures of each of `RUNNERS`, a round at a time."""
    for first in range(arguments.rounds):
        figures = {}
        for place in range(len(RUNNERS)):
            runner = (first + place) % len(RUNNERS)
            figures[runner] = RUNNERS[runner](row, arguments)
        yield [figures[runner] for runner in range(len(RUNNERS))]


def known(values):
    return [value for value in values if not math.isnan(value)]


def cell(values, form):
    values = known(values)
    return form.format(median(values)) if values else ""


def cells(rounds):
    """A row of the table."""
    columns = list(zip(*rounds))
    for column in columns:
        yield cell([figures.images_per_second for figures in column], "{:,.0f}")
    ratios = []
    for of_round in rounds:
        speeds = [figures.images_per_second for figures in of_round]
        ours, theirs = known(speeds[:2]), known(speeds[2:])
        if ours and theirs:
            ratios.append(max(ours) / max(theirs))
    yield f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""
    for column in columns:
        yield cell([figures.peak / 2**30 for figures in column], "{:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the program `train`, built with the GPU's feature")
    parser.add_argument("--device", default="auto", help="as `train bench` takes it")
    parser.add_argument("--half", choices=["f16", "bf16"], default="f16", help="Kiln's 16 bits")
    parser.add_argument("--rows", default=",".join(ROWS), help="which of %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    names = arguments.rows.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown or arguments.rounds < 1:
        parser.error(f"unknown rows: {', '.join(unknown)}" if unknown else "expected 1 or more")

    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU for PyTorch"
    print(
        f"{card}; Kiln on {arguments.device}; PyTorch {torch.__version__}, {arguments.rounds} "
        "rounds; images/s, GiB\n"
    )
    print(
        f"| step | batch | Kiln, f32 | Kiln, {arguments.half} | PyTorch, eager | PyTorch, compiled, bf16 "
        f"| ratio (lowest to highest) | memory: Kiln, f32 | {arguments.half} | PyTorch, eager | compiled |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in names:
        row = ROWS[name]
        rounds = list(rounds_of(row, arguments))
        step = f"{row.model}, {race.NETWORKS[row.model].image} px"
        print(f"| {step} | {row.batch} | {' | '.join(cells(rounds))} |", flush=True)


if __name__ == "__main__":
    main()
