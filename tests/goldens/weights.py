"""Writes tests/goldens/weights: small files of weights, good ones and traps.

None is larger than 40 kB. `code.pth` and `code_inside.pth` would make an empty file `executed` where
they are unpickled.
"""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).parent / "weights"


def layer(dtype=torch.float32):
    """A fully connected layer of 3 features and 2 classes; float16 has all of its values."""
    weight = torch.arange(6).reshape(2, 3) / 4 - 0.5
    return OrderedDict(weight=weight.to(dtype), bias=torch.tensor([0.25, -1.0]).to(dtype))


def named(prefix, tensors):
    return OrderedDict((f"{prefix}{name}", tensor) for name, tensor in tensors.items())


class Command:
    """What pickles as a call of `os.system`."""

    def __reduce__(self):
        return os.system, ("touch executed",)


class Storage:
    """A storage of `elements` floats under the key `0`."""

    def __init__(self, elements):
        self.elements = elements


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return "storage", torch.FloatStorage, "0", "cpu", value.elements
        return None


class Claim:
    """A tensor of any shape, whatever is stored."""

    def __init__(self, *shape):
        self.shape = shape

    def __reduce__(self):
        elements = 1
        strides = []
        for side in reversed(self.shape):
            strides.insert(0, elements)
            elements *= side
        arguments = Storage(elements), 0, self.shape, tuple(strides), False, OrderedDict()
        return torch._utils._rebuild_tensor_v2, arguments


def archive(path, value, storage=b"", compression=zipfile.ZIP_STORED, padding=b""):
    """An archive as `torch.save` makes them, of any pickle and storage."""
    pickled = io.BytesIO()
    Pickler(pickled, 2).dump(value)
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in [
            ("data.pkl", pickled.getvalue()[:-1] + padding + b"."),
            ("version", b"3\n"),
            ("data/0", storage),
        ]:
            # A fixed date: the same files every time.
            file.writestr(zipfile.ZipInfo(f"archive/{name}"), content, compression)


def main():
    FOLDER.mkdir(exist_ok=True)

    def save(name, value, **options):
        torch.save(value, FOLDER / name, **options)

    counted = named("fc.", layer()) | {"bn.num_batches_tracked": torch.tensor(7)}
    save("layer.pth", counted)
    save("legacy.pth", counted, _use_new_zipfile_serialization=False)
    save("wrapped.pth", {"epoch": 3, "state_dict": named("module.fc.", layer())})
    save(
        "types.pth",
        named("a.", layer(torch.float64))
        | named("b.", layer(torch.float16))
        | named("c.", layer(torch.bfloat16)),
    )
    save("integers.pth", {"fc.weight": torch.arange(6)})
    save("twice.pth", named("fc.", layer()) | named("module.fc.", layer()))
    save("expanded.pth", {"fc.weight": torch.zeros(1).expand(1 << 30)})
    (FOLDER / "code.pth").write_bytes(pickle.dumps(Command(), 2))
    archive(FOLDER / "code_inside.pth", {"fc.weight": Claim(2, 3), "extra": Command()}, bytes(24))
    archive(FOLDER / "petabytes.pth", {"fc.weight": Claim(1 << 25, 1 << 25)}, bytes(24))
    deflated = zipfile.ZIP_DEFLATED
    megabytes = 16 << 20
    archive(FOLDER / "bomb.pth", {"fc.weight": Claim(megabytes // 4)}, bytes(megabytes), deflated)
    # Millions of `None` on the unpickler's stack, above the value.
    archive(FOLDER / "pickle_bomb.pth", {}, b"", deflated, padding=b"N" * megabytes)


if __name__ == "__main__":
    main()
