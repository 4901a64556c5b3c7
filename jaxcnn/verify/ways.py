"""Every way that `jaxcnn.ops.ways` has to compute a product of a convolution, wherever it applies.

The choice among them is what `value` and `gradient` check. A new way is a row in a table of `jaxcnn.ops.ways`, and
nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import ops
from jaxcnn.ops import canonical, ways
from jaxcnn.verify.bounds import Array, Measure, compare, worst
from jaxcnn.verify.locality import spoiled, within
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
        """One product by one way, alone, against the loop; once more with NaN in one entry of its first array (of which
        a gradient may leave out what is multiplied by 0), but not XLA's own way with groups, which lets NaN cross them;
        the bound as for value and gradient."""
        rules, default = TABLES[product]
        compute = default if way == CANONICAL else _by_name(rules)[way].compute
        placed, groups = _placed(subject.setting)
        compiled = jax.jit(partial(compute, placed=placed, groups=groups))
        x, kernel, *bias = subject.floats
        bounds = {"forward": subject.bounds[0][0], "input gradient": subject.bounds[1][0]}
        bound = bounds.get(product, subject.bounds[1][1])

        def measured(x: Array, g: Array) -> Measure:
            with np.errstate(invalid="ignore"):
                if product == "forward":
                    (expected,) = subject.values([x, kernel, *(0 * b for b in bias)])
                else:
                    expected = subject.gradients([x, kernel, *bias], g)[0 if product == "input gradient" else 1]
            arrays = {"forward": (x, kernel), "input gradient": (g, kernel), "kernel gradient": (x, g)}[product]
            actual = compiled(*(jnp.asarray(array, subject.dtype) for array in arrays))
            return compare(actual if product == "forward" else within(actual, expected), expected, bound)

        g = subject.cotangent
        if way == CANONICAL and groups > 1:
            return measured(x, g)
        nan = (x, spoiled(subject, g)) if product == "input gradient" else (spoiled(subject, x), g)
        return worst([measured(x, g), measured(*nan)])

    return run
