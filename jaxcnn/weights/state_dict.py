"""The state dict inside what a training script saved: which of its dicts it is, and the names that the network uses."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from jaxcnn.weights.pickle_names import Record
from jaxcnn.weights.torch_tensors import module_state

# What training scripts call the weights, the ones to take first. Averages over steps are what such a script evaluates.
_NAMES = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "params_ema", "ema", "averaged_model", "teacher",
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params",
    "student",
)  # fmt: skip
_OTHERS = ("optim", "sched", "scaler", "rng", "_metadata")  # begin the names of what is beside the weights
_DEEPEST = 4  # dicts in dicts
_MOST_PLACES, _LONGEST_NAME = 100, 1000
_WRAPPED = re.compile(r"(^|\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# torchvision's published DenseNets were saved when its names still had a dot before the number.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.")


class Found(NamedTuple):
    """A state dict, where it stood ("" is the top), and where others stood."""

    state: Mapping[str, Any]
    key: str = ""
    others: tuple[str, ...] = ()


def state_dict_of(source: Mapping[str, Any], key: str | None = None) -> Found:
    """The state dict in a dict of dicts: the one at `key`, the only one, or the one with the most telling name.

    Args:
      source: arrays by name, perhaps in another dict under "state_dict", "model", "model_ema", "teacher", ...
      key: where it is, such as "model", "model.state_dict" or, for a part of one, "state_dict.encoder"; None looks.

    Raises ValueError: there is none; none at `key`; or several of which no name says which is meant. Lists them.
    """
    found = dict(itertools.islice(_state_dicts(source, set()), _MOST_PLACES))
    if not found:
        raise ValueError(f"there is no state dict: {str(list(source))[:80]} are not names of arrays")
    if key is not None:
        return Found(_at(found, key), key)
    ranks = {place: min(map(_rank, place.split("."))) for place in found}
    best = min(found, key=ranks.__getitem__)
    if len(found) > 1 and ranks[best] == len(_NAMES):
        raise ValueError(f"there are state dicts at {_listed(found)}: say which by key=")
    return Found(found[best], best, tuple(place for place in found if place != best))


class Renamed(NamedTuple):
    """A state dict under other names, the prefix that was taken off them, and the names that did not have it."""

    state: dict[str, Any]
    prefix: str
    beside: tuple[str, ...]


def renamed(state: Mapping[str, Any], wanted: Collection[str], head: str | None) -> Renamed:
    """A state dict under the names that a network wants.

    The prefix is the one that makes most names wanted ones; what does not begin with it belongs to something else.
    Counters of batches are left out, wrappers' names taken off anywhere. The classifier, at the path `head`, may be
    one part of a Sequential in either: "fc.1" for "fc", "classifier" for "classifier.1".

    Raises ValueError where two parts of the state dict are as good, such as those of two encoders.
    """
    longest = max((len(name) for name in state if isinstance(name, str)), default=0)
    if longest > _LONGEST_NAME:
        raise ValueError(f"the state dict has a name of {longest:,} letters")
    named = {_WRAPPED.sub(r"\1", name): value for name, value in state.items() if not _is_counter(name)}
    named = {name if name in wanted else _OLD_DENSENET.sub(r"\1\2.", name): value for name, value in named.items()}
    prefix = _prefix(named, wanted)
    beside = tuple(name for name in named if not name.startswith(prefix))
    named = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
    theirs = None if head is None or f"{head}.weight" in named else _head_in(named, head)
    if theirs is not None:
        moved = {f"{theirs}.{array}": f"{head}.{array}" for array in ("weight", "bias")}
        named = {moved.get(name, name): value for name, value in named.items()}
    return Renamed(named, prefix, beside)


def _state_dicts(source: Any, seen: set[int], path: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping]]:
    """The dicts that hold more arrays than anything else, with the ways to them; not what is in those."""
    if id(source) in seen:  # a dict in itself has no end
        return
    seen.add(id(source))
    held = module_state(source) if isinstance(source, Record) else source
    if not isinstance(held, Mapping):
        return
    if 2 * sum(map(_is_tensor, held.values())) > len(held):
        yield path, held
    elif depth < _DEEPEST:
        for name, value in held.items():
            if isinstance(name, str) and not name.startswith(_OTHERS):
                yield from _state_dicts(value, seen, f"{path}.{name}" if path else name, depth + 1)


def _is_tensor(value: Any) -> bool:
    """Whether it is an array with axes, or a tensor that is not read, to be refused later by its name."""
    return bool(getattr(value, "shape", ())) or (isinstance(value, Record) and "tensor" in value.name)


def _at(found: Mapping[str, Mapping[str, Any]], key: str) -> Mapping[str, Any]:
    if key in found:
        return found[key]
    for place, state in found.items():
        if not place or key.startswith(f"{place}."):
            prefix = f"{key[len(place) :].lstrip('.')}."
            if part := {name[len(prefix) :]: value for name, value in state.items() if str(name).startswith(prefix)}:
                return part
    raise ValueError(f"there is no state dict at key={key!r}; there is one at {_listed(found)}")


def _listed(found: Collection[str]) -> str:
    return ", ".join(repr(place) if place else "the top" for place in found)


def _rank(name: str) -> int:
    return _NAMES.index(name) if name in _NAMES else len(_NAMES)


def _is_counter(name: Any) -> bool:
    return not isinstance(name, str) or name == "n_averaged" or name.endswith("num_batches_tracked")


def _prefix(names: Collection[str], wanted: Collection[str]) -> str:
    counts = Counter(beginning for name in names for beginning, rest in _cuts(name) if rest in wanted)
    most = max(counts.values(), default=0)
    best = [prefix for prefix, count in counts.items() if count == most]
    if most == counts[""] or (len(best) > 1 and 2 * most <= len(wanted)):  # chance, where less than half fits
        return ""
    if len(best) > 1:
        keys = " and ".join(repr(prefix.rstrip(".")) for prefix in best[:3])
        raise ValueError(f"the network fits {keys} of the state dict: say which by key=")
    return best[0]


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """A name as a beginning and the rest, at each of its dots: ("", "a.b.c"), ("a.", "b.c"), ("a.b.", "c")."""
    yield "", name
    for dot in re.finditer(r"\.", name):
        yield name[: dot.end()], name[dot.end() :]


def _head_in(names: Collection[str], head: str) -> str | None:
    """Where the classifier is instead, if that is plain."""
    parts = [name.removesuffix(".weight") for name in names if re.fullmatch(rf"{re.escape(head)}\.\d+\.weight", name)]
    above, _, number = head.rpartition(".")
    if number.isdigit() and f"{above}.weight" in names:
        parts.append(above)
    return parts[0] if len(parts) == 1 else None
