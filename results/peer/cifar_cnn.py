"""configs/cifar_cnn.py in PyTorch: the same network, files, augmentation, optimizer and rule to begin with.

    python results/peer/cifar_cnn.py FOLDER.tar.xz --seed 0

The archive holds train/CLASS/IMAGE and test/CLASS/IMAGE. Writes results/peer/cifar_cnn_seedS.json, and after every
epoch a checkpoint beside it, from which the same command goes on. Needs torch and Pillow, and nothing of jaxcnn.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
EPOCHS, BATCH, RATE, PADDING = 20, 128, 1e-4, 4


def network() -> nn.Sequential:
    """The deck's cifar_cnn: 5,852,170 parameters."""

    def block(channels: int, first: int, second: int) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, first, 3, padding=1), nn.BatchNorm2d(first), nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        ]  # fmt: skip

    return nn.Sequential(
        *block(3, 32, 64), *block(64, 128, 128), nn.Dropout2d(0.05), *block(128, 256, 256),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(4096, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(),
        nn.Dropout(0.1), nn.Linear(512, 10),
    )  # fmt: skip


@torch.no_grad()
def begin(net: nn.Module) -> None:
    """Kernels He normal, cut off at two deviations; biases zero."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            deviation = math.sqrt(2 / layer.weight[0].numel()) / 0.87962566103423978
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def read(archive: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """`{split: (images (N, 3, 32, 32) uint8, labels (N,))}`, the classes in the order of their names."""
    found: dict[str, list[tuple[str, bytes]]] = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".jpg"):
                split, kind = Path(member.name).parts[-3:-1]
                found[split].append((kind, tar.extractfile(member).read()))  # type: ignore[union-attr]
    classes = sorted({kind for kind, _ in found["train"]})

    def of(files: list[tuple[str, bytes]]) -> tuple[torch.Tensor, torch.Tensor]:
        images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for _, data in files])
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.tensor([classes.index(kind) for kind, _ in files])

    return {split: of(files) for split, files in found.items()}


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augmented(images: torch.Tensor) -> torch.Tensor:
    """Each image cut out of its zero-padded self at a place of its own, and flipped with probability 1/2."""
    size = images.shape[-1]
    around = nn.functional.pad(images, [PADDING] * 4)
    corners = torch.randint(0, 2 * PADDING + 1, (len(images), 2)).tolist()
    cut = torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in zip(around, corners, strict=True)])
    return torch.where((torch.rand(len(images)) < 0.5).view(-1, 1, 1, 1), cut.flip(-1), cut)


@torch.no_grad()
def evaluated(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy."""
    net.eval()
    loss = right = 0.0
    for start in range(0, len(labels), 500):
        logits = net(normalized(images[start : start + 500]))
        wanted = labels[start : start + 500]
        loss += float(nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        right += int((logits.argmax(1) == wanted).sum())
    return loss / len(labels), right / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    result, checkpoint = (given.output / f"cifar_cnn_seed{given.seed}{end}" for end in (".json", ".partial"))
    data = read(given.archive)
    images, labels = data["train"]
    torch.manual_seed(given.seed)
    net = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    begin(net)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    rows: list[dict[str, float]] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        rows = saved["rows"]
    for epoch in range(len(rows), given.epochs):
        begun, loss, right = time.perf_counter(), 0.0, 0
        net.train()
        for ids in torch.randperm(len(labels)).split(BATCH):
            logits = net(normalized(augmented(images[ids])))
            value = nn.functional.cross_entropy(logits, labels[ids])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            loss += float(value.detach()) * len(ids)
            right += int((logits.argmax(1) == labels[ids]).sum())
        seconds = time.perf_counter() - begun
        test_loss, test_accuracy = evaluated(net, *data["test"])
        rows.append({
            "epoch": epoch + 1, "train_loss": loss / len(labels), "train_accuracy": right / len(labels),
            "test_loss": test_loss, "test_accuracy": test_accuracy, "seconds": round(seconds, 1),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
        torch.save({**state, "rows": rows}, f"{checkpoint}.new")
        Path(f"{checkpoint}.new").replace(checkpoint)
    said = {"seed": given.seed, "torch": torch.__version__, "threads": torch.get_num_threads(), "epochs": rows}
    result.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
