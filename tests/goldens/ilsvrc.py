"""Writes a table of classes as ILSVRC's development kit has it, of three classes.

    python tests/goldens/ilsvrc.py

SciPy 1.17 writes it as MATLAB would: as it is, and compressed, which ILSVRC's `meta.mat` is. The numbers of the classes are
not in the order of their WordNet numbers, as ILSVRC's are not. The last one stands for a class that has others under it.
"""

from pathlib import Path

import numpy as np
from scipy.io import savemat

# MATLAB stores whole numbers in as few bytes as they need.
CLASSES = [
    (np.float64(1), "n00000002", 0),
    (np.uint8(2), "n00000001", 0),
    (np.uint16(300), "n00000003", 2),
]
FIELDS = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]

synsets = np.zeros((len(CLASSES), 1), dtype=[(field, object) for field in FIELDS])
for row, (number, wnid, children) in zip(synsets, CLASSES):
    words = f"words of {wnid}"
    row[0] = (number, wnid, words, "", children, np.arange(children, dtype=np.uint8), 0, 0)
for name, compressed in [("meta.mat", True), ("meta-plain.mat", False)]:
    path = Path(__file__).parent / "ilsvrc" / name
    path.parent.mkdir(exist_ok=True)
    savemat(path, {"other": np.eye(2), "synsets": synsets}, do_compression=compressed)
    # The header says when.
    text = b"MATLAB 5.0 MAT-file, written by tests/goldens/ilsvrc.py".ljust(116)
    path.write_bytes(text + path.read_bytes()[116:])
