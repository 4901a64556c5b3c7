"""Photographs as JPEG files in class folders, for streams to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COUNT, CLASSES, HEIGHT, WIDTH, QUALITY = 240, 8, 375, 500, 90  # about what ImageNet's are


def write(folder: Path) -> None:
    """Parts of the two photographs that come with scikit-learn, as `train/` and, a sixth of them, `test/`."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    whole = load_sample_images().images
    numbers = np.random.default_rng(0)
    for number in range(COUNT):
        photograph = whole[number % 2]
        top, left = (
            numbers.integers(0, most + 1) for most in (photograph.shape[0] - HEIGHT, photograph.shape[1] - WIDTH)
        )
        part = Image.fromarray(photograph[top : top + HEIGHT, left : left + WIDTH])
        place = folder / ("test" if number % 6 == 5 else "train") / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        part.save(place / f"{number:03}.jpg", quality=QUALITY)
