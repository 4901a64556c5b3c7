"""The weights that a command line names, in a network that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

from tyro.conf import arg

from jaxcnn.commands.named import ImageOptions
from jaxcnn.host.errors import input_errors

if TYPE_CHECKING:
    from jaxcnn.layout import Params, Shape
    from jaxcnn.spec import Spec
    from jaxcnn.weights.preprocessing import Preprocessing


class Loaded(NamedTuple):
    """A network with its weights, the shape of its input, and what they want of an image."""

    net: Spec
    params: Params
    batch_stats: Params
    shape: Shape
    preprocessing: Preprocessing


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(ImageOptions):
    """The options of a network and its weights that a command line names."""

    weights_key: Annotated[str | None, arg(metavar="KEY", help_behavior_hint="(default: averages come first)")] = None
    """Which state dict of a file that has several, such as model_ema."""

    def given(self) -> list[str]:
        """Those of these options that a command line has, as it writes them."""
        return super().given() + (["weights-key"] if self.weights_key is not None else [])

    def loaded(self, network: str, weights: str) -> Loaded:
        """The network called so with the weights of a file, or published ones.

        Raises InputError where there is no such network, option or file, or the weights do not fit.
        """
        from jaxcnn.weights.pretrained import load_weights, preprocessing_of, weights_file

        net, options, shape = self.named(network)
        with input_errors():
            file = weights_file(network, weights, options=options)
            params, batch_stats = load_weights(net, file, shape, key=self.weights_key)
        return Loaded(net, params, batch_stats, shape, preprocessing_of(network, weights, shape, options))
