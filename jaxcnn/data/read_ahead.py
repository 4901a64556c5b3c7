"""Reading and decoding the images of later steps while one is trained on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np

Box = tuple[int, int, int, int]  # top, left, height, width
Cut = Callable[[int, int], Box]  # which part of an image of that height and width is wanted
Cuts = Callable[[int], Cut]  # the same of an image's id

AHEAD = 2  # rows that are read besides the one that is waited for
AT_ONCE = 8  # images that a thread is given: small ones take less time than it takes to ask for them


class Images(Protocol):
    """Images that any thread can read, as `streamed.Streamed` is."""

    @property
    def each(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        ...

    def __len__(self) -> int: ...

    def read(self, place: int, cut: Cut | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
        """One of them, or a part of it, of `size`: uint8 (H, W, C)."""
        ...


def workers() -> int:
    """How many threads decode: as many as this process has processors. Pillow lets go of Python while it decodes."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def read_ahead(
    images: Images, rows: Iterable[np.ndarray], cuts: Cuts | None = None, size: tuple[int, int] | None = None
) -> Iterator[np.ndarray]:
    """The images of each row of ids, in the order of the rows; meanwhile the next rows are being read.

    Args:
      images: an id is the place of one of them, plus a multiple of their number.
      rows: arrays of ids, of any shape.
      cuts: what part is wanted of the image of an id; without, all of it as the data's config says.
      size: (height, width) of the parts.

    Yields:
      Arrays uint8 (*row.shape, H, W, C).

    Raises InputError where an image cannot be read.
    """
    each = (*size, images.each[2]) if cuts and size else images.each

    def fill(into: np.ndarray, ids: np.ndarray) -> None:
        for row, number in enumerate(map(int, ids)):
            into[row] = images.read(number % len(images), cuts(number) if cuts else None, size)

    pool = ThreadPoolExecutor(workers(), thread_name_prefix="decode")

    def begun(row: np.ndarray) -> tuple[np.ndarray, list[Future[None]]]:
        found, ids = np.empty((row.size, *each), np.uint8), row.reshape(-1)
        parts = range(0, row.size, AT_ONCE)
        work = [pool.submit(fill, found[at : at + AT_ONCE], ids[at : at + AT_ONCE]) for at in parts]
        return found.reshape(*row.shape, *each), work

    waiting: deque[tuple[np.ndarray, list[Future[None]]]] = deque()

    def finished() -> np.ndarray:
        found, work = waiting.popleft()
        for part in work:
            part.result()
        return found

    try:
        for row in rows:
            waiting.append(begun(row))
            if len(waiting) > AHEAD:
                yield finished()
        while waiting:
            yield finished()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
