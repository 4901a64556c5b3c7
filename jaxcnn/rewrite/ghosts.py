"""BatchNorm over parts of the batch instead of all of it."""

from __future__ import annotations

from dataclasses import replace as changed

from jaxcnn.rewrite.edit import map_leaves
from jaxcnn.spec import BatchNorm, Leaf, Spec, has_state, steps


def ghost_batch_norm(net: Spec, parts: int) -> Spec:
    """The network whose BatchNorms normalize so many equal parts of the batch each by itself, in training.

    Examples that stand one behind the other are a part (Hoffer, Hubara and Soudry 2017, Train longer, generalize
    better). In each update the running averages move once, towards the mean of the parts' statistics; the paper moves
    them by every part in turn.

    Raises ValueError for a network without a BatchNorm that is trained, and unless there is at least one part.
    """
    if parts < 1:
        raise ValueError(f"BatchNorm cannot normalize a batch in {parts} parts: give at least 1")
    if parts > 1 and not any(map(_splits, (step.leaf for step in steps(net)))):
        raise ValueError(f"there is no BatchNorm that could normalize {parts} parts of a batch: leave it at 1")
    return map_leaves(net, lambda _, leaf: changed(leaf, parts=parts) if _splits(leaf) else leaf)


def _splits(leaf: Leaf) -> bool:
    return isinstance(leaf, BatchNorm) and has_state(leaf)
