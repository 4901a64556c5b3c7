"""scikit-learn's handwritten digits: 1,797 gray images of 8x8 pixels, which come with the library."""

from __future__ import annotations

import numpy as np

from jaxcnn.data import Dataset, divide
from jaxcnn.data.config import DataConfig
from jaxcnn.data.stack import stack


def load(_: str, config: DataConfig) -> Dataset:
    """The digits, `config.test_fraction` of them held out.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set).
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    # A pixel counts the dark ones among 4x4 original pixels: 0 to 16, which becomes 0 to 255.
    pixels = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    named = ((row, f"digit {row}", image) for row, image in enumerate(pixels))
    images = stack(len(pixels), named, config)
    train, test = divide(images, labels.astype(np.int32), config)
    return Dataset(config.source, tuple("0123456789"), train, test)
