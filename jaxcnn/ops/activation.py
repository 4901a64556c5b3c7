"""Pointwise non-linearities, by name."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": jax.nn.gelu,
    "tanh": jnp.tanh,
    "scaled_tanh": lambda x: 1.7159 * jnp.tanh(x * (2 / 3)),  # LeCun 1989
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_swish": jax.nn.hard_swish,
    "softplus": jax.nn.softplus,
    "softmax": jax.nn.softmax,
}


# What a rectifier sends back instead of its gradient, from its input and from what comes back to it.
BACKWARD: dict[str, Callable[[Array, Array], Array]] = {
    "guided": lambda x, dy: jnp.where((x > 0) & (dy > 0), dy, jnp.zeros_like(dy)),  # Springenberg et al. 2015
    "deconvnet": lambda x, dy: jnp.maximum(dy, jnp.zeros_like(dy)),  # Zeiler and Fergus 2014
}


def activation(name: str, backward: str = "gradient") -> Callable[[Array], Array]:
    """The function called `name`, which sends back its gradient, or what a rule of BACKWARD makes of a rectifier.

    Raises ValueError, with the known names, for any other function or rule, and for a rule over another than "relu".
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is not one of {', '.join(ACTIVATIONS)}")
    if backward == "gradient":
        return ACTIVATIONS[name]
    if backward not in BACKWARD:
        raise ValueError(f"backward {backward!r} is not one of gradient, {', '.join(BACKWARD)}")
    if name != "relu":
        raise ValueError(f"only relu has a {backward} backward pass, not {name!r}")
    return _RECTIFIERS[backward]


def _rectifier(rule: Callable[[Array, Array], Array]) -> Callable[[Array], Array]:
    rectify = jax.custom_vjp(ACTIVATIONS["relu"])
    rectify.defvjp(lambda x: (rectify(x), x), lambda x, dy: (rule(x, dy),))
    return rectify


_RECTIFIERS = {name: _rectifier(rule) for name, rule in BACKWARD.items()}
