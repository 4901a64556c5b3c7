"""The operations of those that run on jax: this library, plain lax, Flax NNX and Keras.

Each gives, for a case, one function `f(differentiable, fixed) -> (y, further results)`; the products of it are made
the same way for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn import ops
from jaxcnn.bench.cases import Case
from jaxcnn.bench.measure import Contender

Function = Callable[[tuple, tuple], tuple]
MOMENTUM, EPS = 0.9, 1e-5


def contender(name: str, function: Function, case: Case, product: str, arrays: dict[str, np.ndarray]) -> Contender:
    """One product of a case; its result is what `compiled` says."""
    arguments = jax.device_put(split(case, arrays))
    step = compiled(function, product)
    return Contender(name, lambda: jax.block_until_ready(step(*arguments)))


def split(case: Case, arrays: dict[str, np.ndarray]) -> tuple[tuple, tuple, np.ndarray]:
    """A case's arrays as what is differentiated, what is not, and the gradient of the output."""
    x, gradient = arrays["x"], arrays["gradient"]
    match case.kind:
        case "conv":
            return (x, arrays["kernel"]), (), gradient
        case "batch_norm":
            return (x, arrays["scale"], arrays["bias"]), (arrays["mean"], arrays["variance"]), gradient
        case "dropout":
            return (x,), (jax.random.key(0),), gradient  # type: ignore[return-value]
        case _:
            return (x,), (), gradient


def compiled(function: Function, product: str) -> Callable:
    """The jitted product: all arrays are arguments, so that nothing is folded, and all results are returned.

    - forward: y and further results
    - dx, dW: the gradient of the first or second of what is differentiated, alone; XLA drops the forward pass
    - forward+backward: y, further results, and the gradients of all that is differentiated
    """
    if product == "forward":
        return jax.jit(lambda inputs, fixed, gradient: _flat(function(inputs, fixed)))
    if product == "forward+backward":

        def both(inputs, fixed, gradient):
            y, pull, further = jax.vjp(lambda *inputs: function(inputs, fixed), *inputs, has_aux=True)
            return (y, *further, *pull(gradient))

        return jax.jit(both)
    place = CONV_GRADIENTS.index(product)

    def one(inputs, fixed, gradient):
        def of_one(value):
            return function((*inputs[:place], value, *inputs[place + 1 :]), fixed)[0]

        return jax.vjp(of_one, inputs[place])[1](gradient)

    return jax.jit(one)


CONV_GRADIENTS = ("dx", "dW")


def _flat(result):
    y, further = result
    return (y, *further)


def own(case: Case) -> Function:
    """The case in this library's operations."""
    match case.kind:
        case "conv":
            options = {"stride": case.stride, "padding": case.padding, "groups": case.groups}
            return lambda inputs, fixed: (ops.conv(*inputs, **options), ())
        case "batch_norm":

            def batch_norm(inputs, fixed):
                x, scale, bias = inputs
                y, mean, variance = ops.batch_norm(x, scale, bias, eps=EPS)
                return y, _running(fixed, mean, variance)

            return batch_norm
        case "dropout":
            return lambda inputs, fixed: (ops.dropout(inputs[0], case.rate, fixed[0]), ())
        case _:
            pool = ops.max_pool if case.kind == "max_pool" else ops.avg_pool
            return lambda inputs, fixed: (pool(inputs[0], case.window, case.stride, padding=case.padding), ())


def _running(old, mean, variance):
    return tuple(MOMENTUM * before + (1 - MOMENTUM) * now for before, now in zip(old, (mean, variance), strict=True))


def plain(case: Case) -> Function:
    """The case in jax.lax and jax.numpy, differentiated by jax."""
    match case.kind:
        case "conv":
            around = (case.padding, case.padding)
            conv = partial(
                lax.conv_general_dilated, window_strides=(case.stride,) * 2, padding=(around, around),
                feature_group_count=case.groups, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
            return lambda inputs, fixed: (conv(*inputs), ())
        case "batch_norm":

            def batch_norm(inputs, fixed):
                x, scale, bias = inputs
                mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
                y = (x - mean) * (lax.rsqrt(variance + EPS) * scale) + bias
                return y, _running(fixed, lax.stop_gradient(mean), lax.stop_gradient(variance))

            return batch_norm
        case "dropout":

            def dropout(inputs, fixed):
                keep = jax.random.bernoulli(fixed[0], 1 - case.rate, inputs[0].shape)
                return jnp.where(keep, inputs[0] / (1 - case.rate), 0), ()

            return dropout
        case _:
            window, strides = (1, case.window, case.window, 1), (1, case.stride, case.stride, 1)
            around, none = (case.padding, case.padding), (0, 0)
            padding = (none, around, around, none)
            if case.kind == "max_pool":
                return lambda inputs, fixed: (
                    lax.reduce_window(inputs[0], -jnp.inf, lax.max, window, strides, padding), ()
                )  # fmt: skip
            return lambda inputs, fixed: (
                lax.reduce_window(inputs[0], 0.0, lax.add, window, strides, padding) / case.window**2, ()
            )  # fmt: skip
