"""A whole epoch in PyTorch, in a process of its own: `DataLoader` with two workers, step, checkpoint, evaluation.

    python -m jaxcnn.bench.torch_epoch CASE LAYOUT BATCH FOLDER

Trains one epoch on the images of FOLDER for every line on standard input, and answers each with a line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from jaxcnn.bench import epoch_data
from jaxcnn.bench.epoch_data import MEAN, PADDING, STD
from jaxcnn.data import load
from jaxcnn.host.machine import cores

WORKERS = 2


class Images(Dataset[Any]):
    """Images (N, C, H, W) uint8 and labels; augmented ones are cut out of their padded selves and flipped, one by one,
    as torchvision's RandomCrop, RandomHorizontalFlip and Normalize do."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, augmented: bool) -> None:
        self.images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        self.labels, self.augmented = torch.from_numpy(labels.astype(np.int64)), augmented

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.images[index]
        if self.augmented:
            height, width = image.shape[1:]
            down, across = torch.randint(0, 2 * PADDING + 1, (2,)).tolist()
            image = F.pad(image, [PADDING] * 4)[:, down : down + height, across : across + width]
            if torch.rand(()) < 0.5:
                image = image.flip(-1)
        return image.float().div_(255).sub_(MEAN).div_(STD), self.labels[index]


def main(case: str, layout: str, batch: str, folder: str) -> None:
    from jaxcnn.bench.networks import NETWORKS, problem
    from jaxcnn.bench.torch_network import network

    torch.set_num_threads(cores())
    build, shape = NETWORKS[case]
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    net = network(problem(build(), shape, 1)).to(memory_format=form)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)
    dataset = load(epoch_data.config(Path(folder), shape))
    train, test = ((np.asarray(split.images), split.labels) for split in (dataset.train, dataset.test))
    options: dict[str, Any] = {"batch_size": int(batch), "num_workers": WORKERS, "persistent_workers": True}
    options["multiprocessing_context"] = "forkserver"
    training = DataLoader(Images(*train, augmented=True), shuffle=True, **options)
    testing = DataLoader(Images(*test, augmented=False), **options)
    for _ in sys.stdin:
        seen, right = _trained(net, optimizer, training, form)
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, Path(folder) / f"{layout}.pt")
        print(f"{seen:.4f} {right} {_right(net, testing, form)}", flush=True)


def _trained(
    net: torch.nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[Any], form: Any
) -> tuple[float, int]:  # fmt: skip
    """The sum of the losses of an epoch, and how many were right."""
    net.train()
    total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    for images, labels in loader:
        logits = net(images.contiguous(memory_format=form))
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(labels)
        right += (logits.argmax(1) == labels).sum()
    return total.item(), int(right)


@torch.no_grad()
def _right(net: torch.nn.Module, loader: DataLoader[Any], form: Any) -> int:
    net.eval()
    return sum(int((net(images.contiguous(memory_format=form)).argmax(1) == labels).sum()) for images, labels in loader)


if __name__ == "__main__":
    main(*sys.argv[1:])
