"""Write small files of PyTorch's own, in both its forms, for the tests of the reader.

    python -m tests.goldens.make_torch_files

PyTorch is needed to make them, not to read them. What they hold is `EXPECTED`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

FILES = {True: "torch_zip.pth", False: "torch_pickle.pth"}
EXPECTED = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 8,
    "transposed": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "part": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)[1:, ::2, 1] / 8,  # of the first one's storage
    "half": np.array([0.5, -2], np.float16),
    "brain": np.array([1.5, -3], np.float32),  # bfloat16 there, which holds both
    "count": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
}


def main() -> None:
    import torch

    first = torch.arange(24.0).reshape(2, 3, 2, 2) / 8
    state = {
        "conv.weight": torch.nn.Parameter(first), "transposed": torch.arange(6, dtype=torch.float64).reshape(2, 3).T,
        "part": first[1:, ::2, 1], "half": torch.tensor([0.5, -2], dtype=torch.float16),
        "brain": torch.tensor([1.5, -3], dtype=torch.bfloat16), "count": torch.tensor(7),
        "mask": torch.tensor([True, False]), "empty": torch.zeros(0, 4),
    }  # fmt: skip
    saved = {"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=0.1, out=Path("out"))}
    for zipped, name in FILES.items():
        torch.save(saved, Path(__file__).parent / name, _use_new_zipfile_serialization=zipped)


if __name__ == "__main__":
    main()
