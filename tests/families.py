"""One network of every family of the zoo, and a small image for it."""

from __future__ import annotations

from functools import cache

import jaxcnn
from jaxcnn.spec import Spec
from jaxcnn.zoo import NETWORKS, Entry


@cache
def smallest_of_each_family() -> dict[str, str]:
    """Of every file of the zoo the network with the fewest operations."""
    found: dict[str, tuple[int, str]] = {}
    for name, entry in NETWORKS.items():
        family, cost = entry.build.__module__.rpartition(".")[2], jaxcnn.macs(entry.build(), entry.input)
        found[family] = min(found.get(family, (cost, name)), (cost, name))
    return {family: name for family, (_, name) in found.items()}


def small_image(net: Spec, entry: Entry) -> tuple[int, ...]:
    """The first of a few odd sizes that the network takes, height and width differing; else its own."""
    for size in (49, 65, 97):
        if size < entry.input[0]:
            try:
                jaxcnn.walk(net, shape := (size, size - 2, entry.input[2]))
            except ValueError:
                continue
            return shape
    return entry.input
