"""The networks by name. A new architecture is one file here and one row in `networks.py`."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable

from jaxcnn.spec import Spec
from jaxcnn.zoo.deck import cifar_cnn, fmnist_cnn
from jaxcnn.zoo.lenet import lenet5, mlp
from jaxcnn.zoo.networks import NETWORKS, Entry


def models() -> list[str]:
    """Every name that `create` knows, sorted."""
    return sorted(NETWORKS)


def create(name: str, **options) -> Spec:
    """The spec of the network called `name`; `classes` and other options are those of the function that builds it.

    `name` may also be `module:function`, for a network of your own in an importable module.

    Raises ValueError for a name or an option that does not exist, with those that do.
    """
    build = NETWORKS[name].build if name in NETWORKS else _imported(name)
    if not callable(build):
        raise ValueError(f"network {name!r} must be a function that returns a spec, not {type(build).__name__}")
    known = inspect.signature(build).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()) and (extra := sorted(set(options) - set(known))):
        raise ValueError(f"network {name!r} has no option {', '.join(extra)}; it has: {', '.join(known)}")
    try:
        net = build(**options)
    except Exception as error:  # whatever a function of the user's raises
        raise ValueError(f"network {name!r} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(net, Spec):
        raise ValueError(f"network {name!r} must return a spec (see jaxcnn.spec), not {type(net).__name__}")
    return net


def _imported(name: str) -> Callable[..., Spec]:
    module, separator, function = name.partition(":")
    if not separator:
        close = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"there is no network {name!r}; {hint}`jaxcnn models` lists all {len(NETWORKS)}, and module:function is "
            "one of your own"
        )
    try:
        return getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever importing a module of the user's raises
        raise ValueError(f"cannot load network {name!r}: {type(error).__name__}: {error}") from error


__all__ = ["NETWORKS", "Entry", "cifar_cnn", "create", "fmnist_cnn", "lenet5", "mlp", "models"]
