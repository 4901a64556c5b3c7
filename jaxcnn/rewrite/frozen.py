"""Keep a part of a network as it is while the rest is trained."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace as changed

from jaxcnn.rewrite.edit import map_leaves, suggestion
from jaxcnn.spec import BatchNorm, Leaf, Spec


def freeze(net: Spec, patterns: Sequence[str]) -> tuple[Spec, tuple[str, ...]]:
    """The network with some BatchNorms frozen, and the paths of all layers whose parameters must then not be trained.

    A pattern ("conv1", "layer[12]", "*.bn?") stands for the layers whose path it matches and for all inside of a part
    whose path it matches. A frozen BatchNorm normalizes by its running averages in training too, and keeps them.

    Raises ValueError for a pattern that matches nothing.
    """
    found: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    paths: list[str] = []

    def still(path: str, leaf: Leaf) -> Leaf:
        paths.append(path)
        matching = [pattern for pattern in patterns if _within(path, pattern)]
        for pattern in matching:
            found[pattern].append(path)
        return changed(leaf, frozen=True) if matching and isinstance(leaf, BatchNorm) else leaf

    net = map_leaves(net, still)
    for pattern in patterns:
        if not found[pattern]:
            raise ValueError(f"nothing is called {pattern!r}{suggestion(pattern, paths)}")
    return net, tuple(dict.fromkeys(path for path in paths if any(path in some for some in found.values())))


def _within(path: str, pattern: str) -> bool:
    """Whether a pattern matches a path or that of something around it."""
    names = path.split(".")
    return any(fnmatch.fnmatchcase(".".join(names[:count]), pattern) for count in range(1, len(names) + 1))
