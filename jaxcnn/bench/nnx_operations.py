"""The operations in Flax NNX: its modules, called as functions of their parameters."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxcnn.bench.cases import Case
from jaxcnn.bench.jax_operations import EPS, MOMENTUM, Function


def nnx_function(case: Case) -> Function:
    """The case in Flax NNX."""
    window, strides = (case.window,) * 2, (case.stride,) * 2
    padding: Any = ((case.padding,) * 2,) * 2  # pairs, which the annotations of pools call a string
    match case.kind:
        case "conv":
            conv = nnx.eval_shape(
                lambda: nnx.Conv(
                    case.channels, case.width, window, strides, padding=padding, feature_group_count=case.groups,
                    use_bias=False, rngs=nnx.Rngs(0),
                )
            )  # fmt: skip
            definition = nnx.split(conv)[0]
            return lambda inputs, fixed: (_conv(definition, *inputs), ())
        case "batch_norm":
            norm = nnx.BatchNorm(case.channels, momentum=MOMENTUM, epsilon=EPS, rngs=nnx.Rngs(0))
            return _batch_norm(nnx.split(norm)[0])
        case "dropout":
            drop = nnx.Dropout(case.rate)
            return lambda inputs, fixed: (drop(*inputs, rngs=nnx.Rngs(dropout=fixed[0])), ())
        case "max_pool":
            return lambda inputs, fixed: (nnx.max_pool(inputs[0], window, strides, padding), ())
        case _:
            return lambda inputs, fixed: (nnx.avg_pool(inputs[0], window, strides, padding), ())


def _conv(definition, x, kernel):
    return nnx.merge(definition, nnx.State({"kernel": nnx.Param(kernel)}))(x)


def _batch_norm(definition) -> Function:
    def batch_norm(inputs, fixed):
        x, scale, bias = inputs
        mean, variance = fixed
        norm = nnx.merge(
            definition,
            nnx.State(
                {
                    "scale": nnx.Param(scale), "bias": nnx.Param(bias),
                    "mean": nnx.BatchStat(mean), "var": nnx.BatchStat(variance),
                }
            ),
        )  # fmt: skip
        y = norm(x)
        return y, jax.lax.stop_gradient((norm.mean[...], norm.var[...]))

    return batch_norm
