"""The network that a command line names, its options and its input."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from tyro.conf import Positional, arg

from jaxcnn.host.errors import InputError, input_errors

if TYPE_CHECKING:
    from jaxcnn.layout import Shape
    from jaxcnn.spec import Spec

NetworkName = Annotated[Positional[str], arg(metavar="NET")]
OWN = "(default: the network's own)"
LARGEST = 2**31 - 1  # of a size: what is larger fits no memory, and its products are pages of digits


class Named(NamedTuple):
    """A network, the options it was made with, and the shape of one example."""

    net: Spec
    options: dict[str, Any]
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The options of a network that a command line names."""

    input: Annotated[tuple[int, ...] | None, arg(metavar="N", help_behavior_hint=OWN)] = None
    """Height, width and channels; for sequences or volumes as many sizes as they have, then the channels."""
    classes: Annotated[int | None, arg(metavar="N", help_behavior_hint=OWN)] = None
    """How many classes it tells apart."""
    variant: Annotated[str | None, arg(metavar="NAME", help_behavior_hint=OWN)] = None
    """Whose network it is where there are several: torchvision or keras."""

    def given(self) -> list[str]:
        """Those of these options that a command line has."""
        return [name for name in ("classes", "variant", "input") if getattr(self, name) is not None]

    def named(self, network: str) -> Named:
        """The network called so. Raises InputError where there is no such network, option or input."""
        from jaxcnn import zoo

        search_working_folder(network)
        options = {name: value for name in ("classes", "variant") if (value := getattr(self, name)) is not None}
        known = zoo.NETWORKS.get(network)
        shape = tuple(self.input or (known.input if known else ()))
        if max((*shape, self.classes or 0)) > LARGEST:
            raise InputError(f"a size or a number of classes is at most {LARGEST:,}")
        with input_errors():
            net = zoo.create(network, **options)
        if not shape:
            raise InputError(f"{network} is your own network: give its --input HEIGHT WIDTH CHANNELS")
        if len(shape) < 2 or min(shape) < 1 or (known and len(shape) != len(known.input)):
            shown = " ".join(map(str, shape))
            raise InputError(f"--input takes height, width and channels, each at least 1, not {shown}")
        return Named(net, options, shape)


@dataclass(frozen=True, kw_only=True)
class ImageOptions(NetworkOptions):
    """The same for networks that take images: another word may follow the three sizes."""

    input: Annotated[tuple[int, int, int] | None, arg(metavar="H W C", help_behavior_hint=OWN)] = None
    """Height, width and channels of an image."""


def search_working_folder(network: str) -> None:
    """Let `module:function` be found in the working folder, after all other places; other names have no such need."""
    here = str(Path.cwd())
    if ":" in network and here not in sys.path:
        sys.path.append(here)
