"""Does a file of weights fit a network? All of it or nothing, and one sentence that says what does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.layout import times
from jaxcnn.weights.pickle_names import Record

SHOWN = 4


def refuse_unless_fitting(
    about: str,
    missing: Mapping[str, Sequence[int]],
    unexpected: Mapping[str, Sequence[int]],
    other_shape: Mapping[str, tuple[Sequence[int], Sequence[int]]],
    hint: str = "",
) -> None:
    """Raise one ValueError about everything that is wrong.

    Args:
      about: what was read, to begin the sentence.
      missing: what the network wants and the file does not have: {name: shape}.
      unexpected: what the file has and the network does not want: {name: shape}.
      other_shape: {name: (the file's shape, the network's)}.
      hint: what would be right, to end the sentence.

    Raises:
      ValueError: any of the three is not empty; says how many of each, and the first few in full.
    """
    parts = []
    for label, group in ("missing", missing), ("unexpected", unexpected):
        if group:
            parts.append(f"{len(group)} {label} ({_first(f'{n} {times(s)}' for n, s in group.items())})")
    if other_shape:
        words = (f"{n} is {times(given)}, not {times(wanted)}" for n, (given, wanted) in other_shape.items())
        parts.append(f"{len(other_shape)} of another shape ({_first(words)})")
    if parts:
        raise ValueError(f"{about} not fit the network: {', '.join(parts)}{hint}")


def _first(words: Iterable[str]) -> str:
    every = list(words)
    more = [f"and {len(every) - SHOWN} more"] if len(every) > SHOWN else []
    return ", ".join([*every[:SHOWN], *more])


def as_numpy(value: Any, name: str) -> np.ndarray:
    """Any library's array of numbers as NumPy's. Raises ValueError, with `name`, for what is none."""
    if hasattr(value, "detach"):  # PyTorch's tensors
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    if isinstance(value, Record):
        raise ValueError(f"{name} is no array of real numbers but {value.name[:100]}")
    array = np.asarray(value)
    if not (array.dtype.kind in "biuf" or array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")):
        kind = f"{type(value).__name__} of {array.dtype}" if hasattr(value, "dtype") else type(value).__name__
        raise ValueError(f"{name} is no array of real numbers but {kind}")
    return array


def as_parameter(value: np.ndarray) -> Array:
    """A copy as JAX's array: float32, or float64 where the value has it and JAX is set to compute in it."""
    return jnp.array(value, None if value.dtype == np.float64 else jnp.float32)
