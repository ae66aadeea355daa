"""Writes counts.csv: what every network of networks.py costs, counted on the running PyTorch model.

The models are on PyTorch's `meta` device, which computes shapes and no values.

    parameters            of the whole model
    auxiliary_parameters  of the classifiers that only training uses
    multiply_adds         of convolutions and linear layers, for one image, in evaluation
    activations           values that convolutions and linear layers put out for the same
"""

import csv
from pathlib import Path

import torch
from torch import nn

from networks import NETWORKS

COLUMNS = ["model", "source", "image", "parameters", "auxiliary_parameters", "multiply_adds", "activations"]


def count(network, shape):
    """Multiply-adds, activations and the parameters that were used, by hooks on each layer."""
    total = {"multiply_adds": 0, "activations": 0}
    used = set()

    def note(module, inputs, output):
        values = output[0].numel()
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            products = module.in_channels // module.groups * height * width
        else:
            products = module.in_features
        total["multiply_adds"] += values * products
        total["activations"] += values

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(note)
        module.register_forward_pre_hook(lambda module, inputs: used.add(module))
    with torch.no_grad():
        network.eval()(torch.empty(shape, device="meta"))
    unused = [module for module in network.modules() if module not in used]
    parameters = {parameter: parameter.numel() for parameter in network.parameters()}
    auxiliary = {parameter for module in unused for parameter in module.parameters(recurse=False)}
    return {
        "parameters": sum(parameters.values()),
        "auxiliary_parameters": sum(parameters[parameter] for parameter in auxiliary),
        **total,
    }


def main():
    with Path(__file__).with_name("counts.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for name, network in NETWORKS.items():
            with torch.device("meta"):
                model = network.build(network.classes)
            shape = (1, network.channels, network.image, network.image)
            row = {"model": name, "source": network.source, "image": network.image}
            table.writerow(row | count(model, shape))


if __name__ == "__main__":
    main()
