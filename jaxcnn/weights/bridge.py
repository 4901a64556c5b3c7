"""A network as a module of Flax NNX, for programs that are written in NNX; and its arrays back.

Not imported by `import jaxcnn`: NNX takes longer to import than all the rest of this library.
"""

from __future__ import annotations

from dataclasses import replace

from flax import nnx
from jax import Array

from jaxcnn.forward_pass import apply
from jaxcnn.layout import Params
from jaxcnn.rewrite import map_leaves
from jaxcnn.spec import BatchNorm, Dropout, Identity, Leaf, Spec, StochasticDepth, is_random, steps

Variables = dict[str, dict[str, nnx.Variable]]


class Network(nnx.Module):
    """A spec with its arrays: `params` and `batch_stats` are `{path: {name: variable}}`, of `nnx.Param` and
    `nnx.BatchStat`. Like NNX's own layers it begins in training mode; its methods train and eval switch.

    Args:
      net: the spec; an attribute of that name, which NNX holds to be static.
      params, batch_stats: as `jaxcnn.init` returns them. They are not copied, and stay as they are.
      rngs: where the keys of dropout come from, by `rngs.dropout()`; needed to train a network that has dropout.
    """

    def __init__(self, net: Spec, params: Params, batch_stats: Params, *, rngs: nnx.Rngs | None = None) -> None:
        self.net = net
        self.params: Variables = nnx.data(_wrapped(params, nnx.Param))
        self.batch_stats: Variables = nnx.data(_wrapped(batch_stats, nnx.BatchStat))
        self.rngs = nnx.data(rngs)
        self.deterministic = False
        self.use_running_average = False

    def __call__(self, x: Array) -> Array:
        """The output for images (N, H, W, C); unless running averages are used, it updates `batch_stats`.

        Raises ValueError: shapes that do not fit, naming the layer; dropout without `rngs`.
        """

        def moded(_: str, leaf: Leaf) -> Leaf:
            if self.deterministic and isinstance(leaf, Dropout | StochasticDepth):
                return Identity()
            if self.use_running_average and isinstance(leaf, BatchNorm):
                return replace(leaf, frozen=True)
            return leaf

        net, key = map_leaves(self.net, moded), None
        if _has_dropout(net):
            if self.rngs is None:
                raise ValueError("dropout in training needs keys: Network(net, params, batch_stats, rngs=nnx.Rngs(0))")
            key = self.rngs.dropout()
        params, batch_stats = self.arrays()
        y, new = apply(net, params, batch_stats, x, train=True, rng=key)
        for path, layer in new.items():
            for name, value in layer.items():
                if value is not batch_stats[path][name]:
                    self.batch_stats[path][name].set_value(value)
        return y

    def arrays(self) -> tuple[Params, Params]:
        """`(params, batch_stats)`, for `jaxcnn.apply` and all other functions of a spec and its arrays."""
        return _unwrapped(self.params), _unwrapped(self.batch_stats)


def _wrapped(tree: Params, kind: type[nnx.Variable]) -> Variables:
    return {path: {name: kind(array) for name, array in layer.items()} for path, layer in tree.items()}


def _unwrapped(tree: Variables) -> Params:
    return {path: {name: variable.get_value() for name, variable in layer.items()} for path, layer in tree.items()}


def _has_dropout(net: Spec) -> bool:
    return any(is_random(step.leaf) for step in steps(net))
