"""Every operation of `jaxcnn.ops`, each with one entry: its settings and the lengths of its sums."""

from __future__ import annotations

from jaxcnn.verify.operations import channels, conv, dropout, norm, pointwise, pool, regions

OPERATIONS = {
    operation.name: operation
    for module in (conv, pool, regions, norm, channels, pointwise, dropout)
    for operation in module.OPERATIONS
}
