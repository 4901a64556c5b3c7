"""Images that stay where they are until they are asked for: those of a data set that memory does not hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from jaxcnn.data.config import DataConfig
from jaxcnn.data.images import decode, decode_box
from jaxcnn.data.read_ahead import Cut, read_ahead
from jaxcnn.host.errors import InputError


class Encoded(Protocol):
    """Files of images, by numbers from 0 on; they are read by many threads at once."""

    def name(self, place: int) -> str:
        """What a person calls the file."""
        ...

    def size(self, place: int) -> int:
        """Its bytes, as they were when the source was opened."""
        ...

    def read(self, place: int) -> bytes:
        """What is in it. Raises InputError, with its name, where it cannot be read."""
        ...


@dataclass(frozen=True, eq=False)
class Streamed:
    """Like an array uint8 (N, H, W, C), each of whose images is read and decoded when it is asked for.

    Parts of it, `images[places]`, are of its kind, still unread; `np.asarray` reads all.
    """

    source: Encoded
    places: np.ndarray  # int64 (N,): the images' numbers in the source
    each: tuple[int, int, int]  # (H, W, C)
    config: DataConfig

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.places), *self.each

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, places: Any) -> Streamed | np.ndarray:
        if isinstance(places, int | np.integer):
            return self.read(int(places))
        return replace(self, places=self.places[places])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        images = next(read_ahead(self, [np.arange(len(self))]))
        return images if dtype is None else images.astype(dtype)

    def read(self, place: int, cut: Cut | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
        """One image: uint8 (H, W, C) as the config says; or the part that `cut` chooses of all of it, of `size`.

        Raises InputError, naming the file, where it cannot be read, is damaged, or has another size than the others.
        """
        number, config = int(self.places[place]), self.config
        name, data = self.source.name(number), self.source.read(number)
        if cut:
            return decode_box(data, name, cut, size or self.each[:2], self.each[2])
        pixels = decode(data, name, config.size, config.channels, config.fit, config.resize)
        if pixels.shape != self.each:
            raise InputError(
                f"{name} is {'x'.join(map(str, pixels.shape))}, but the images are {'x'.join(map(str, self.each))}: "
                "give --data.size H W and --data.channels 1 or 3"
            )
        return pixels

    def digest(self) -> bytes:
        """SHA-256 over which files these are, by their names and sizes: their bytes are not read for it."""
        sha = hashlib.sha256()
        for place in self.places:
            sha.update(f"{self.source.name(int(place))}\n{self.source.size(int(place))}\n".encode())
        return sha.digest()


def streamed(source: Encoded, count: int, config: DataConfig) -> Any:
    """A `Streamed` of the first `count` images of a source, of which the first one tells the size of all.

    Raises InputError where it cannot.
    """
    data, name = source.read(0), source.name(0)
    height, width, channels = decode(data, name, config.size, config.channels, config.fit, config.resize).shape
    return Streamed(source, np.arange(count), (height, width, channels), config)
