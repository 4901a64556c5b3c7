"""An HDF5 file of a stranger's: what is in it, without following it out of it, and no more than it can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxcnn.weights.soundness import refuse_if_it_unpacks_without_end


def objects(root: Any) -> Iterator[tuple[str, Any]]:
    """Every group and dataset of an h5py file by its path, each once.

    Raises ValueError for a link into another file. A soft link is left aside: what it names is met by itself.
    """
    import h5py  # pyright: ignore[reportMissingImports]
    from h5py import h5o  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

    waiting, seen = [("", root)], {h5o.get_info(root.id).addr}
    while waiting:
        path, group = waiting.pop()
        for name in group:
            here = f"{path}/{name}" if path else name
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"its {here[:100]} stands in another file, {link.filename[:100]}, which is not opened")
            if not isinstance(link, h5py.HardLink):
                continue
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address not in seen:
                seen.add(address)
                yield here, item
                if isinstance(item, h5py.Group):
                    waiting.append((here, item))


def arrays_of(datasets: Sequence[Any], size: int) -> list[np.ndarray]:
    """The arrays in datasets of a file of `size` bytes.

    Raises ValueError, before memory is taken, where one is no dataset of numbers, has them in another file, or claims
    more of them than the file can hold.
    """
    claimed = sum(map(_checked, datasets))
    refuse_if_it_unpacks_without_end("numbers", claimed, size)
    for dataset in datasets:
        held = min(dataset.id.get_storage_size(), size)
        if dataset.id.get_create_plist().get_nfilters():
            refuse_if_it_unpacks_without_end(dataset.name, dataset.nbytes, held)
        elif dataset.nbytes > held:
            raise ValueError(f"its {dataset.name} claims {dataset.nbytes:,} bytes of which it has {held:,} at most")
    return [np.asarray(dataset[()]) for dataset in datasets]


def _checked(dataset: Any) -> int:
    import h5py  # pyright: ignore[reportMissingImports]

    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.dtype.kind not in "biufV":
        raise ValueError(f"its {dataset.name} is no array of numbers")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"its {dataset.name} has its numbers in another file, which is not opened")
    return math.prod(dataset.shape) * dataset.dtype.itemsize
