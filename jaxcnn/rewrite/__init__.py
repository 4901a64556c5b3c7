"""Specs from specs: change layers, put in a new head, cut a network short, freeze a part of it, fold BatchNorm away,
leave out blocks at random, normalize parts of a batch.

Nothing here changes its arguments. A path is that of `forward`'s activations, "layer1.0.conv1". Parameters belong to
paths, so those of the layers that a rewriting leaves alone fit the new network as they are.
"""

from jaxcnn.rewrite.blocks import in_blocks
from jaxcnn.rewrite.depth import stochastic_depth
from jaxcnn.rewrite.edit import cut, map_leaves, replace
from jaxcnn.rewrite.fold import fold_batch_norm
from jaxcnn.rewrite.frozen import freeze
from jaxcnn.rewrite.ghosts import ghost_batch_norm
from jaxcnn.rewrite.heads import head, replace_head

__all__ = [
    "cut", "fold_batch_norm", "freeze", "ghost_batch_norm", "head", "in_blocks", "map_leaves", "replace",
    "replace_head", "stochastic_depth",
]  # fmt: skip
