"""Writes training/NAME.json for each recipe training/NAME.toml: what PyTorch makes of the recipe.

Only what these recipes use is understood; any other key is an error. A golden holds

    torch          the version of PyTorch
    losses, rates  of each step: the mean loss of its images before the update, the learning rate
    weights        after the last step, the first values of each tensor of the state dict

computed in double precision; how far PyTorch's own single precision is from that is printed. Paths
in a recipe are as seen from the repository's root.

Files under `by-rule/` are not there: their weights and images are those of forward.py's rule, image i being of class i
modulo 10.

The learning rates are low on purpose. A rounding error that moves a value across ReLU's kink changes
the gradient, and training amplifies the change: at a rate of 0.1, PyTorch's own losses in single
precision are 1e-2 apart after 20 steps, depending on how it computes convolutions; at 0.01, 2e-4.
"""

import json
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import lr_scheduler

from forward import tensor
from networks import NETWORKS

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).with_name("training")
# Values of each tensor that a golden holds.
SHOWN = 8


def draw_images(path, count, shape, seed):
    """A pattern a class under noise; one label in ten is wrong, so that it takes a while to learn."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randn((10, *shape), generator=generator)
    labels = torch.randperm(count, generator=generator) % 10
    images = patterns[labels] + torch.randn((count, *shape), generator=generator)
    wrong = torch.rand(count, generator=generator) < 0.1
    labels = torch.where(wrong, (labels + 1) % 10, labels)
    save_file({"images": images, "labels": labels}, path)


def draw_weights(path, network, seed):
    """He's initialisation of convolutions and PyTorch's own of linear layers; norms are shifted a little."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2, generator=generator)
        if getattr(module, "bias", None) is not None:
            nn.init.uniform_(module.bias, -0.1, 0.1, generator=generator)
    state = network.state_dict().items()
    save_file({name: value for name, value in state if value.is_floating_point()}, path)


def load(path, network, images):
    """The tensors of a file, or those of the rule: weights of this network, or images of this shape."""
    if not path.startswith("by-rule/"):
        return load_file(ROOT / path)
    if path.endswith("weights.safetensors"):
        state = network.state_dict().items()
        return {name: tensor(name, value.shape) for name, value in state if value.is_floating_point()}
    return {"images": tensor("images", images), "labels": torch.arange(images[0]) % 10}


def whiten(network, settings, images):
    """The first convolution as what whitens patches of images, which stays so; the largest component of each eigenvector
    is positive."""
    conv = network[0]
    patches = images[: settings.pop("images")].double()
    for axis, side in zip((2, 3), conv.kernel_size):
        patches = patches.unfold(axis, side, 1)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, conv.weight[0].numel())
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    values, vectors = values.flip(0), vectors.flip(1)
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    filters = (signs * vectors / (values + settings.pop("epsilon")).sqrt()).T
    conv.weight.data = torch.cat((filters, -filters)).reshape(conv.weight.shape).to(conv.weight.dtype)
    conv.weight.requires_grad = False


class Lookahead:
    """Zhang et al. 2019, algorithm 1, with slow weights that keep more of themselves as the run goes on, and with which it
    ends (Jordan 2024, section 3.4)."""

    def __init__(self, network, settings, steps):
        self.state = [value for value in network.state_dict().values() if value.is_floating_point()]
        self.slow = [value.clone() for value in self.state]
        self.every = settings.pop("every")["steps"]
        self.decay, self.power = settings.pop("decay"), settings.pop("power")
        self.steps = steps

    def after(self, step):
        if step % self.every == 0:
            kept = self.decay**self.every * (step / self.steps) ** self.power
            for slow, value in zip(self.slow, self.state):
                slow.lerp_(value, 1 - kept)
        if step % self.every == 0 or step == self.steps:
            for slow, value in zip(self.slow, self.state):
                value.copy_(slow)


def sgd(network, settings, rate):
    """Weight decay leaves alone what `decay_exclude` names; normalisations may have a group of their own."""
    exclude = settings.pop("decay_exclude", [])
    decay = settings.pop("weight_decay", 0.0)
    own = settings.pop("norm", None)
    groups = {decay: [], 0.0: []}
    of_norms = []
    for module in network.modules():
        norm = isinstance(module, nn.BatchNorm2d)
        for name, parameter in module.named_parameters(recurse=False):
            kind = "norm" if norm else name
            if norm and own:
                of_norms.append(parameter)
                continue
            groups[0.0 if kind in exclude else decay].append(parameter)
    groups = [{"params": params, "weight_decay": decay} for decay, params in groups.items() if params]
    if own:
        own_rate = rate * own["rate_factor"]
        groups.append({"params": of_norms, "lr": own_rate, "weight_decay": own["weight_decay"]})
    return torch.optim.SGD(groups, lr=rate, **settings)


def scheduler(optimizer, kind, settings, steps):
    """PyTorch's scheduler, stepped after each update."""
    warm_up = settings.pop("warm_up", None)
    if kind == "constant":
        main = lr_scheduler.ConstantLR(optimizer, 1.0, 1)
    elif kind == "step":
        milestones = [at["steps"] for at in settings.pop("at")]
        main = lr_scheduler.MultiStepLR(optimizer, milestones, 1 / settings.pop("divide_by"))
    elif kind == "cosine":
        length = steps - (warm_up["length"]["steps"] if warm_up else 0)
        main = lr_scheduler.CosineAnnealingLR(optimizer, length, settings.pop("end"))
    assert not settings, f"not understood: {settings}"
    if warm_up is None:
        return main
    assert warm_up["shape"] == "linear"
    length = warm_up["length"]["steps"]
    factor = warm_up["from"] / optimizer.param_groups[0]["initial_lr"]
    before = lr_scheduler.LinearLR(optimizer, factor, 1.0, length)
    return lr_scheduler.SequentialLR(optimizer, [before, main], [length])


def train(path, dtype):
    """Trains by the recipe at `path`: the losses, the rates, the final state."""
    recipe = tomllib.loads(path.read_text())
    for key in ("log", "checkpoint"):
        recipe.pop(key)
    assert recipe.pop("shuffle") is False
    network = NETWORKS[recipe.pop("model")].build(10)
    network.load_state_dict(load(recipe.pop("init"), network, None), strict=False)
    network.to(dtype).train()
    data = load(recipe.pop("dataset")["tensors"], None, (24, 3, 25, 25))
    images, labels = data["images"].to(dtype), data["labels"]
    batch, steps = recipe.pop("batch"), recipe.pop("length")["steps"]
    bias_steps = steps
    if "whiten" in recipe:
        settings = recipe.pop("whiten")
        bias_steps = settings.pop("bias")["steps"]
        whiten(network, settings, images)
        assert not settings, f"not understood: {settings}"
    accumulate = recipe.pop("accumulate", 1)
    clip_norm = recipe.pop("clip_norm", None)
    smoothing = recipe.pop("loss", {}).get("label_smoothing", 0.0)
    ((kind, schedule),) = recipe.pop("schedule").items()
    rate = schedule.pop("rate") if kind == "constant" else schedule.pop("start")
    optimizer = sgd(network, recipe.pop("optimizer")["sgd"], rate)
    schedule = scheduler(optimizer, kind, schedule, steps)
    batches_per_epoch = -(-len(labels) // batch)
    lookahead = None
    if "lookahead" in recipe:
        lookahead = Lookahead(network, recipe.pop("lookahead"), steps)
    assert not recipe, f"not understood: {recipe}"

    losses, rates = [], []
    for step in range(steps):
        if step == bias_steps:
            network[0].bias.requires_grad = False
        start = step % batches_per_epoch * batch
        parts = torch.arange(start, min(start + batch, len(labels))).chunk(accumulate)
        optimizer.zero_grad()
        total = 0.0
        for part in parts:
            scores = network(images[part])
            loss = F.cross_entropy(scores, labels[part], label_smoothing=smoothing) / len(parts)
            loss.backward()
            total += loss.item()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        losses.append(total)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        if lookahead:
            lookahead.after(step + 1)
    return losses, rates, network.state_dict()


def rounded(values):
    return [float(f"{value:.10g}") for value in values]


def golden(path):
    losses, rates, state = train(path, torch.float64)
    single, _, _ = train(path, torch.float32)
    difference = max(abs(found / loss - 1) for found, loss in zip(single, losses))
    print(f"{path.stem}: losses in single precision within {difference:.1e}")
    return {
        "torch": torch.__version__.split("+")[0],
        "losses": rounded(losses),
        "rates": rounded(rates),
        "weights": {
            name: rounded(value.flatten()[:SHOWN].tolist())
            for name, value in state.items()
            if value.is_floating_point()
        },
    }


def write(path, golden):
    """JSON with a line a list, so that differences can be read."""
    weights = golden.pop("weights")
    lines = [f' "{name}": {json.dumps(value)}' for name, value in golden.items()]
    tensors = [f'  "{name}": {json.dumps(value)}' for name, value in weights.items()]
    lines.append(' "weights": {\n' + ",\n".join(tensors) + "\n }")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    torch.use_deterministic_algorithms(True)
    inputs = {
        "resnet8-images": lambda path: draw_images(path, 96, (3, 9, 9), seed=1),
        "resnet8-weights": lambda path: draw_weights(path, NETWORKS["resnet8"].build(10), seed=2),
        "lenet5-images": lambda path: draw_images(path, 48, (1, 28, 28), seed=3),
        "lenet5-weights": lambda path: draw_weights(path, NETWORKS["lenet5"].build(10), seed=4),
    }
    for name, draw in inputs.items():
        path = FOLDER / f"{name}.safetensors"
        if not path.exists():
            draw(path)
    for path in sorted(FOLDER.glob("*.toml")):
        write(path.with_suffix(".json"), golden(path))


if __name__ == "__main__":
    main()
