"""Writes forward.json: logits of networks whose weights and images are computed, not stored.

The rule is written twice, here and in crates/models/tests/support. Element i of the tensor called
`name` starts from a uniform u in [0, 1), a multiple of 2^-24:

    h = FNV-1a of the bytes of `name`, 32 bits
    h = (h + i * 0x9e3779b9) mod 2^32
    h = (h ^ (h >> 16)) * 0x21f0aaad mod 2^32
    h = (h ^ (h >> 15)) * 0x735a2d97 mod 2^32
    u = ((h ^ (h >> 15)) >> 8) / 2^24

and becomes, in double precision and then rounded to single:

    images            4 u - 2
    weight matrices   (2 u - 1) sqrt(6 / fan-in), fan-in being the product of all axes but the first
    norm weights      (0.5 + 0.5 u) times the network's `gain`
    running_var       0.5 + u
    all else          u - 0.5
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch

from networks import NETWORKS, VARIANTS

# Of every network, so that the files stay small.
CLASSES = 10


def uniform(name, count):
    h = 0x811C9DC5
    for byte in name.encode():
        h = (h ^ byte) * 0x01000193 % 2**32
    h = np.uint32(h) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
    h = (h ^ (h >> 16)) * np.uint32(0x21F0AAAD)
    h = (h ^ (h >> 15)) * np.uint32(0x735A2D97)
    return ((h ^ (h >> 15)) >> 8).astype(np.float64) / 2**24


def tensor(name, shape, gain=1):
    u = uniform(name, math.prod(shape))
    if name == "images":
        values = 4 * u - 2
    elif len(shape) > 1:
        values = (2 * u - 1) * math.sqrt(6 / math.prod(shape[1:]))
    elif name.endswith("running_var"):
        values = 0.5 + u
    elif name.endswith(".weight"):
        values = gain * (0.5 + 0.5 * u)
    else:
        values = u - 0.5
    # The double that the single is.
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


def logits(network, images, gain):
    state = {
        name: tensor(name, value.shape, gain)
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    missing, unexpected = network.load_state_dict(state, strict=False, assign=True)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    with torch.no_grad():
        return network.eval()(images)


def rounded(values):
    return [float(f"{value:.10g}") for value in values]


def main():
    """Makes all cases again, or those of the networks that the command line names."""
    path = Path(__file__).with_name("forward.json")
    again = sys.argv[1:] or list(NETWORKS)
    cases = json.loads(path.read_text())["cases"]
    cases = {(case["model"], json.dumps(case["options"]) if "options" in case else ""): case for case in cases}
    networks = {(name, ""): network for name, network in NETWORKS.items()} | VARIANTS
    lines = []
    for (name, options), network in networks.items():
        if name not in again:
            lines.append("  " + json.dumps(cases[name, options]))
            continue
        shape = [2, network.channels, network.small, network.small]
        with torch.device("meta"):
            model = network.build(CLASSES)
        scores = logits(model, tensor("images", shape), network.gain)
        rows = [rounded(row) for row in scores.tolist()]
        case = {"model": name} | ({"options": json.loads(options)} if options else {})
        case |= {"images": shape, "gain": network.gain, "logits": rows}
        lines.append("  " + json.dumps(case))
    text = '{\n "torch": "%s",\n "cases": [\n%s\n ]\n}\n'
    text %= (torch.__version__.split("+")[0], ",\n".join(lines))
    path.write_text(text)


if __name__ == "__main__":
    main()
