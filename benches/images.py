"""Races the data crate against torchvision's v2 transforms on Pillow, and prints the results as Markdown.

    cargo bench --workspace --profile dev --bench images --no-run
    python benches/images.py target/debug/deps/images-<hash> FOLDER --rounds 3 --threads 2

FOLDER has photographs, which both read into memory first. A round runs Kiln on one thread, torchvision in one process, and
then both on `--threads`, torchvision in as many processes, which is how PyTorch's loader runs it. Speeds are medians over the
rounds in images a second, the ratio is of Kiln to torchvision within a round, the median over the rounds. Needs a machine
that does nothing else.
"""

import argparse
import io
import json
import multiprocessing
import subprocess
import time
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torchvision.transforms import v2

LONG = 3.0
ENDINGS = {".jpg", ".jpeg", ".png"}
NORMALIZE = [
    v2.PILToTensor(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
]
ROWS = {
    "decode": None,
    "random_resized_crop": [v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), *NORMALIZE],
    "scale_jitter": [v2.RandomShortestSize(range(256, 481)), v2.RandomCrop(224), v2.RandomHorizontalFlip(), *NORMALIZE],
    "resize_center_crop": [v2.Resize(256), v2.CenterCrop(224), *NORMALIZE],
    "cifar": [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), *NORMALIZE],
}


def files(folder):
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in ENDINGS)
    return [path.read_bytes() for path in paths]


def work(row, folder):
    torch.set_num_threads(1)
    if row == "cifar":
        read = [Image.new("RGB", (32, 32), (i % 251, 31, 7)) for i in range(100)]
    else:
        read = [io.BytesIO(file) for file in files(folder)]
    transforms = ROWS[row] and v2.Compose(ROWS[row])
    started, images = time.perf_counter(), 0
    while time.perf_counter() - started < LONG:
        for file in read:
            image = file if row == "cifar" else Image.open(file).convert("RGB")
            if transforms:
                transforms(image)
        images += len(read)
    return images / (time.perf_counter() - started)


def torchvision(folder, threads):
    with multiprocessing.get_context("fork").Pool(threads) as pool:
        return {row: sum(pool.starmap(work, [(row, folder)] * (1 if row == "decode" else threads))) for row in ROWS}


def kiln(program, folder, threads):
    return json.loads(subprocess.run([program, folder, str(threads)], capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append(
            {
                threads: (kiln(arguments.program, arguments.folder, threads), torchvision(arguments.folder, threads))
                for threads in sorted({1, arguments.threads})
            }
        )
    print("| | threads | Kiln | torchvision on Pillow | ratio (lowest to highest) |\n|---|---|---|---|---|")
    for threads in rounds[0]:
        for row in ROWS:
            ours, theirs = ([round[threads][side][row] for round in rounds] for side in (0, 1))
            ratios = sorted(a / b for a, b in zip(ours, theirs))
            spread = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| {row} | {threads} | {median(ours):,.0f} | {median(theirs):,.0f} | {spread} |")


if __name__ == "__main__":
    main()
