"""Races the data crate against torchvision's v2 transforms on Pillow and against OpenCV, and prints the results as Markdown.

    cargo bench --workspace --profile dev --bench images --no-run
    python benches/images.py target/debug/deps/images-<hash> FOLDER --rounds 3 --threads 2 --packed SMALL

FOLDER has photographs, which all read into memory first; SMALL has the same ones as `train pack --shorter-side 256` leaves
them, for a row of Kiln on these against torchvision on the originals. A round runs Kiln on one thread, torchvision in one
process, OpenCV in one, and then all on `--threads`, the other two in as many processes, which is how PyTorch's loader runs
them. OpenCV decodes and takes the same random part; it scales without antialiasing. Speeds are medians over the rounds in
images a second, the ratio is of Kiln to torchvision within a round, the median over the rounds. Needs a machine that does
nothing else. Several programs, with commas between them, take turns within a round.
"""

import argparse
import io
import json
import multiprocessing
import subprocess
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
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


def opencv(file):
    image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    top, left, height, width = v2.RandomResizedCrop(224).make_params([torch.empty(3, height, width)]).values()
    image = cv2.resize(image[top : top + height, left : left + width], (224, 224), interpolation=cv2.INTER_LINEAR)
    if torch.rand(()) < 0.5:
        image = cv2.flip(image, 1)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    image = (image - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    return torch.from_numpy(image.transpose(2, 0, 1))


def pillow(file):
    return Image.open(io.BytesIO(file)).convert("RGB")


def work(way, row, folder):
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    read = [Image.new("RGB", (32, 32), (i % 251, 31, 7)) for i in range(100)] if row == "cifar" else files(folder)
    transforms = v2.Compose(ROWS[row]) if ROWS[row] else lambda image: image
    step = {
        "opencv": opencv,
        "torchvision": lambda file: transforms(file if row == "cifar" else pillow(file)),
    }[way]
    started, images = time.perf_counter(), 0
    while time.perf_counter() - started < LONG:
        for file in read:
            step(file)
        images += len(read)
    return images / (time.perf_counter() - started)


def python(folder, threads):
    tasks = [("torchvision", row) for row in ROWS] + [("opencv", "random_resized_crop")]
    with multiprocessing.get_context("fork").Pool(threads) as pool:
        return {
            (way, row): sum(pool.starmap(work, [(way, row, folder)] * (1 if row == "decode" else threads)))
            for way, row in tasks
        }


def kiln(program, folder, threads):
    return json.loads(subprocess.run([program, folder, str(threads)], capture_output=True, text=True, check=True).stdout)


def spread(values):
    values = sorted(values)
    return f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs")
    parser.add_argument("folder")
    parser.add_argument("--packed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    programs = arguments.programs.split(",")
    rounds = []
    for _ in range(arguments.rounds):
        measured = {}
        for threads in sorted({1, arguments.threads}):
            for place, program in enumerate(programs):
                measured[threads, place] = kiln(program, arguments.folder, threads)
                if arguments.packed:
                    small = kiln(program, arguments.packed, threads)
                    measured[threads, place]["packed"] = small["random_resized_crop"]
            measured[threads] = python(arguments.folder, threads)
        rounds.append(measured)
    print("| | threads | Kiln | torchvision on Pillow | OpenCV | ratio (lowest to highest) |\n|---|---|---|---|---|---|")
    for threads in sorted({1, arguments.threads}):
        for row in [*ROWS, *(["packed"] if arguments.packed else [])]:
            reference = "random_resized_crop" if row == "packed" else row
            theirs = [round[threads]["torchvision", reference] for round in rounds]
            others = [round[threads].get(("opencv", row)) for round in rounds]
            other = f"{median(others):,.0f}" if all(others) else ""
            for place, program in enumerate(programs):
                ours = [round[threads, place][row] for round in rounds]
                ratios = spread(a / b for a, b in zip(ours, theirs))
                name = f"{row}, {Path(program).name}" if len(programs) > 1 else row
                print(f"| {name} | {threads} | {median(ours):,.0f} | {median(theirs):,.0f} | {other} | {ratios} |")


if __name__ == "__main__":
    main()
