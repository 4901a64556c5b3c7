"""JPEGs decoded by several libraries, and streamed by several loaders, each as a maker of the work to be timed.

A maker takes photographs, and returns a function that goes through all of them once.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn.config import ResizedCrop
from jaxcnn.data.augment.from_files import from_files
from jaxcnn.data.images import decode_box
from jaxcnn.data.read_ahead import read_ahead, workers
from jaxcnn.data.streamed import Streamed

Work = Callable[[], Any]
SIDE, BATCH, CROP = 224, 32, ResizedCrop()


def _cropped(data: bytes, number: int) -> np.ndarray:
    """Decoded and cut by Pillow, as all loaders here do it."""
    return decode_box(data, "photograph", from_files(CROP, 0, 0)(number), (SIDE, SIDE), 3)


def by_pillow(files: Sequence[bytes]) -> Work:
    """Pillow, whole images in RGB."""
    from PIL import Image

    return lambda: [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files]


def by_opencv(files: Sequence[bytes]) -> Work:
    """OpenCV on one thread, whole images."""
    import cv2  # type: ignore[import-not-found]

    cv2.setNumThreads(1)
    arrays = [np.frombuffer(data, np.uint8) for data in files]
    return lambda: [cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) for data in arrays]


def by_simplejpeg(files: Sequence[bytes]) -> Work:
    """libjpeg-turbo through simplejpeg, whole images."""
    import simplejpeg  # type: ignore[import-not-found]

    return lambda: [simplejpeg.decode_jpeg(data) for data in files]


def by_torchvision(files: Sequence[bytes]) -> Work:
    """torchvision's decoder, whole images."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg  # type: ignore[import-not-found]

    tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
    return lambda: [decode_jpeg(data, mode=ImageReadMode.RGB) for data in tensors]


def by_pillow_cropped(files: Sequence[bytes]) -> Work:
    """Pillow, a random resized crop: what a stream does to each image, on one thread."""
    return lambda: [_cropped(data, number) for number, data in enumerate(files)]


def stream_of_jaxcnn(images: Streamed) -> Work:
    """This library's threads."""
    rows = [np.arange(start, min(start + BATCH, len(images))) for start in range(0, len(images), BATCH)]
    return lambda: sum(len(batch) for batch in read_ahead(images, rows, from_files(CROP, 0, 0), (SIDE, SIDE)))


class Photographs:
    """A data set as PyTorch's and Grain's loaders ask for one."""

    def __init__(self, images: Streamed) -> None:
        self.paths = [images.source.name(int(place)) for place in images.places]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> np.ndarray:
        return _cropped(Path(self.paths[number]).read_bytes(), number).copy()  # which PyTorch may write to


def stream_of_torch(images: Streamed) -> Work:
    """PyTorch's DataLoader with as many worker processes as there are cores, which stay."""
    from torch.utils.data import DataLoader

    options: dict[str, Any] = {"num_workers": workers(), "persistent_workers": True, "batch_size": BATCH}
    loader: Any = DataLoader(Photographs(images), multiprocessing_context="forkserver", **options)  # type: ignore[arg-type]
    return lambda: sum(len(batch) for batch in loader)


def stream_of_grain(images: Streamed) -> Work:
    """Grain's MapDataset with as many reading threads as there are cores."""
    import grain  # type: ignore[import-not-found]

    options = grain.ReadOptions(num_threads=workers(), prefetch_buffer_size=4 * BATCH)
    photographs: Any = Photographs(images)

    def run() -> int:
        data = grain.MapDataset.source(photographs).to_iter_dataset(options).batch(BATCH)
        return sum(len(batch) for batch in data)

    return run


DECODERS: dict[str, Callable[[Sequence[bytes]], Work]] = {
    "jaxcnn": by_pillow, "opencv": by_opencv, "simplejpeg": by_simplejpeg, "torchvision": by_torchvision,
}  # fmt: skip
"""What decodes, on one thread, by the names of `peers.LOADERS`; this library decodes by Pillow."""

STREAMS: dict[str, Callable[[Streamed], Work]] = {
    "jaxcnn": stream_of_jaxcnn, "torch": stream_of_torch, "grain": stream_of_grain
}  # fmt: skip
"""What streams, over all cores."""
