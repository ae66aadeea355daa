"""Writes export.csv: what onnxruntime makes of the ONNX files that `train convert` writes, network by network.

    python tests/goldens/export.py target/debug/train [NAME ...]

Weights and images are those of forward.py's rule, two images of the size that the network was published for, but for the
variants of networks, whose images are small: the windows of adaptive means then differ in size. Of each file ONNX's own
checker must infer every shape.

    options    of a recipe's `[model]`, as JSON
    image      height and width of the images
    operators  how many of each the graph has
    error      between onnxruntime's scores and those of `train predict`: the largest, as a part of the largest score
    sha256     of the graph without the values of its initializers, by which the test knows that the program still
               writes the graph that was compared
"""

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

from forward import CLASSES, tensor
from networks import NETWORKS, VARIANTS

COLUMNS = ["model", "options", "image", "operators", "error", "sha256"]
MOST_ERROR = 1e-4


def card(name, options, network, image):
    """What a model file says of its network, since the command line has no options of networks."""
    model = {"name": name} | (json.loads(options) if options else {})
    size = {"channels": network.channels, "height": image, "width": image}
    classes = [str(index) for index in range(CLASSES)]
    fields = {"model": model, "classes": classes, "size": size, "preprocessing": [], "step": 0}
    return {"kiln": json.dumps(fields)}


def write_weights(path, network, metadata):
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in network.build(CLASSES).state_dict().items()}
    names = [name for name in shapes if not name.endswith("num_batches_tracked")]
    save_file({name: tensor(name, shapes[name], network.gain).float() for name in names}, path, metadata)


def compare(train, name, options, network, image, folder):
    weights, images, scores, file = (
        folder / f for f in ("weights.safetensors", "images.safetensors", "scores.safetensors", "network.onnx")
    )
    write_weights(weights, network, card(name, options, network, image))
    values = tensor("images", [2, network.channels, image, image]).float()
    save_file({"input": values}, images)
    subprocess.run([train, "convert", "--weights", weights, "--output", file], check=True)
    subprocess.run([train, "predict", "--weights", weights, "--input", images, "--output", scores], check=True)
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"input": values.numpy()})
    expected = load_file(scores)["logits"].numpy()
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error < MOST_ERROR, f"{name}: {error}"
    return error, onnx.load(file, load_external_data=False).graph


def main(train, *names):
    """Compares all networks again, or those that the command line names."""
    path = Path(__file__).with_name("export.csv")
    before = {}
    if names:
        before = {(row["model"], row["options"]): row for row in csv.DictReader(path.open())}
    networks = {(name, ""): network for name, network in NETWORKS.items()} | VARIANTS
    rows = []
    for (name, options), network in networks.items():
        if names and name not in names:
            rows.append(before[name, options])
            continue
        image = network.small if options else network.image
        with tempfile.TemporaryDirectory() as folder:
            error, graph = compare(train, name, options, network, image, Path(folder))
        for initializer in graph.initializer:
            initializer.ClearField("raw_data")
        counts = Counter(node.op_type for node in graph.node)
        rows.append({
            "model": name,
            "options": options,
            "image": image,
            "operators": " ".join(f"{operator}:{count}" for operator, count in sorted(counts.items())),
            "error": f"{error:.0e}",
            "sha256": hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest(),
        })
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
