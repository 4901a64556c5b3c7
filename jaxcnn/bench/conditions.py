"""Under which conditions figures came about: machine, versions, threads, and the machine's own peak."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence

import jax
import numpy as np

from jaxcnn.bench.measure import Contender, Plan, Timing, interleave
from jaxcnn.bench.peers import Peer, installed
from jaxcnn.host.large_pages import SETTING
from jaxcnn.host.machine import cores, machine, versions
from jaxcnn.ops import native

AUGMENTERS = ("torchvision", "kornia", "albumentations", "opencv-python-headless", "augmax", "dm_pix")
EXPLAINERS = ("captum", "grad-cam", "foolbox")
PACKAGES = ("jaxcnn", "jax", "jaxlib", "flax", "optax", "keras", "torch", *EXPLAINERS, *AUGMENTERS, "numpy")


def prepare(peers: Sequence[Peer]) -> str:
    """Let every peer use all cores and full float32 precision; returns the sentence that says so."""
    sentences = []
    if any(peer.package == "torch" for peer in peers):
        import torch

        torch.set_num_threads(cores())
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        sentences.append(f"PyTorch with {torch.get_num_threads()} threads")
    if any(peer.compiled for peer in peers):
        from torch._inductor import config

        config.compile_threads = 1  # compiling in the background would disturb what is measured meanwhile
    if jax.default_backend() != "cpu":
        jax.config.update("jax_default_matmul_precision", "highest")
        sentences.append("no TensorFloat-32")
    if f"{SETTING}=1" in os.environ.get("GLIBC_TUNABLES", ""):
        sentences.append("large memory pages for all of them")
    program = "with" if native.available() else "without"
    return "; ".join([f"XLA with all {cores()} cores; jaxcnn {program} its C++ program", *sentences])


def _versions() -> str:
    found = versions(PACKAGES)
    return ", ".join([f"Python {found.pop('python')}", *(f"{name} {number}" for name, number in found.items())])


def speed(product: Timing, size: int) -> float:
    """FLOP/s of the best round of a matrix product of `size` cubed."""
    return 2 * size**3 / min(product.seconds)


def describe(command: str, threads: str, peak: dict[str, Timing], size: int, batch: int) -> list[str]:
    """The lines of a report that say how its figures came about."""
    found = ", ".join(f"{name} {1e-9 * speed(timing, size):,.0f} GFLOP/s" for name, timing in peak.items())
    return [
        f"- Machine: {machine()}.",
        f"- Versions: {_versions()}.",
        f"- Date: {datetime.date.today().isoformat()}. Command: `{command}`.",
        f"- float32, batch {batch}, {threads}.",
        f"- Peak: the best float32 matrix product ({size} x {size} x {size}) in this run, its best round: {found}.",
    ]


def matrix_peak(peers: Sequence[Peer], plan: Plan, size: int) -> dict[str, Timing]:
    """The times of a float32 matrix product of `size` cubed, by jax and, where it is a peer, by PyTorch."""
    left, right = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    product = jax.jit(lambda a, b: a @ b)
    arrays = jax.device_put((left, right))
    contenders = [Contender("jax", lambda: jax.block_until_ready(product(*arrays)))]
    if installed("torch") and any(peer.package == "torch" for peer in peers):
        import torch

        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        a, b = torch.from_numpy(left).to(device), torch.from_numpy(right).to(device)
        contenders.append(Contender("PyTorch", lambda: finished(a @ b)))
    for contender in contenders:
        contender.run()
    return interleave(contenders, plan)


def finished(result):
    """A PyTorch result, once it has been computed."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result
