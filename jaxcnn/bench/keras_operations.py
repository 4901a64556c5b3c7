"""The operations in Keras 3 on jax: its functions, and its layers called as functions of their variables."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxcnn.bench.cases import Case
from jaxcnn.bench.jax_operations import EPS, MOMENTUM, Function
from jaxcnn.bench.peers import use_keras_on_jax


def keras_function(case: Case) -> Function:
    """The case in Keras. It pads by hand, as a Keras user must where "same" means another padding."""
    use_keras_on_jax()
    import keras

    padding, by_hand = _padding(case)

    def padded(x, value: float):
        if not by_hand:
            return x
        return keras.ops.pad(x, ((0, 0), by_hand, by_hand, (0, 0)), constant_values=value)

    match case.kind:
        case "conv" if case.depthwise:
            multiplier = case.width // case.channels
            shape = (case.window, case.window, case.channels, multiplier)
            return lambda inputs, fixed: (
                keras.ops.depthwise_conv(padded(inputs[0], 0), inputs[1].reshape(shape), case.stride, padding), ()
            )  # fmt: skip
        case "conv":
            return lambda inputs, fixed: (
                keras.ops.conv(padded(inputs[0], 0), inputs[1], case.stride, padding), ()
            )  # fmt: skip
        case "batch_norm":
            norm = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPS)
            norm.build((None, case.size, case.size, case.channels))

            def batch_norm(inputs, fixed):
                x, *weights = inputs
                y, running = norm.stateless_call(weights, list(fixed), x, training=True)[:2]
                return y, running

            return batch_norm
        case "dropout":
            drop = keras.layers.Dropout(case.rate, seed=0)

            def dropout(inputs, fixed):
                seed = jax.random.key_data(fixed[0]).astype(jnp.uint32)
                y = drop.stateless_call([], [seed], *inputs, training=True)[0]
                return y, ()

            return dropout
        case "max_pool":
            return lambda inputs, fixed: (
                keras.ops.max_pool(padded(inputs[0], -jnp.inf), case.window, case.stride, padding), ()
            )  # fmt: skip
        case _:
            return lambda inputs, fixed: (
                keras.ops.average_pool(padded(inputs[0], 0), case.window, case.stride, padding), ()
            )  # fmt: skip


def _padding(case: Case) -> tuple[str, tuple[int, int] | None]:
    """Keras' own padding where it is the same as the case's, otherwise the places to add by hand."""
    if not case.padding:
        return "valid", None
    # Keras' average does not count padding in the divisor; the case's does
    if case.stride == 1 and 2 * case.padding == case.window - 1 and case.kind != "avg_pool":
        return "same", None
    return "valid", (case.padding, case.padding)
