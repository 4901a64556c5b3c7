"""Every way that `jaxcnn.ops.ways` has to compute a product of a convolution, wherever it applies.

The choice among them is what `value` and `gradient` check. A new way is a row in a table of `jaxcnn.ops.ways`, and
nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import ops
from jaxcnn.ops import canonical, ways
from jaxcnn.verify.bounds import Measure, compare
from jaxcnn.verify.setting import Setting
from jaxcnn.verify.subject import Subject

CANONICAL = "canonical convolution"
TABLES = {
    "forward": (ways.FORWARD, canonical.forward),
    "input gradient": (ways.INPUT_GRADIENT, canonical.input_gradient),
    "kernel gradient": (ways.KERNEL_GRADIENT, canonical.kernel_gradient),
}
OPERATIONS = ("conv", "depthwise_conv")


def names() -> list[str]:
    """ "forward by patches" and so on: the names of the checks."""
    return [f"{product} by {name}" for product, (rules, _) in TABLES.items() for name in (CANONICAL, *_by_name(rules))]


def _by_name(rules: Any) -> dict[str, Any]:
    return {way.name: way for way in rules}


def _placed(setting: Setting) -> tuple[ops.Window, int]:
    x, kernel, *_ = setting.arrays
    assert x is not None and kernel is not None
    given = (setting.options.get(name, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1)))
    placed = ops.slide("conv", x.shape[1:-1], kernel.shape[:-2], *given)
    return placed, x.shape[-1] // kernel.shape[-2]


def applies(check: str, operation: str, setting: Setting, dtype: str) -> bool:
    """Whether the setting is one for that way."""
    if operation not in OPERATIONS or "padding_mode" in setting.options:
        return False
    product, _, name = check.partition(" by ")
    if name == CANONICAL:
        return True
    placed, groups = _placed(setting)
    *_, fan_in, width = setting.arrays[1].shape  # type: ignore[union-attr]
    return _by_name(TABLES[product][0])[name].applies(ways.Shape(placed, fan_in, width // groups, groups, dtype))


def check(name: str) -> Callable[[Subject], Measure]:
    """The check of that name."""
    product, _, way = name.partition(" by ")

    def run(subject: Subject) -> Measure:
        """One product by one way, alone, against the loop; the bound as for value and gradient."""
        rules, default = TABLES[product]
        compute = default if way == CANONICAL else _by_name(rules)[way].compute
        placed, groups = _placed(subject.setting)
        x, kernel, g = subject.floats[0], subject.floats[1], subject.cotangent
        values, gradients = subject.bounds
        bias = 0 if len(subject.floats) < 3 else subject.floats[2]
        one, other, expected, bound = {
            "forward": (x, kernel, subject.expected[0] - bias, values[0]),
            "input gradient": (g, kernel, subject.expected_gradients[0], gradients[0]),
            "kernel gradient": (x, g, subject.expected_gradients[1], gradients[1]),
        }[product]
        given = jnp.asarray(one, subject.dtype), jnp.asarray(other, subject.dtype)
        return compare(jax.jit(lambda one, other: compute(one, other, placed, groups))(*given), expected, bound)

    return run
