"""`jaxcnn convert`: weights from one file to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from jaxcnn.commands.command import Command
from jaxcnn.commands.restored import RunOptions, run_folder
from jaxcnn.commands.weights import WeightsOptions
from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded


@dataclass(frozen=True, kw_only=True)
class Convert(WeightsOptions, RunOptions, Command):
    """Convert weights of PyTorch, Keras or a run to a file under PyTorch's names.

    Such a file is for PyTorch's load_state_dict, for jaxcnn, and for whatever reads safetensors.
    """

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A file of PyTorch's or Keras's weights, a folder of the Hugging Face Hub, imagenet, or a run."""
    network: Annotated[str | None, arg(metavar="NET", help_behavior_hint="(default: the run's)")] = None
    """The network that a file's weights are of. A run knows its own; say it where it is module:function."""
    output: Annotated[Path, arg(metavar="FILE")]
    """What to write: a file that ends in .safetensors, .npz or .pth."""

    def run(self) -> int:
        """Write the file, and print what is in it."""
        from jaxcnn.layout import parameter_count
        from jaxcnn.weights.files import WRITABLE, write
        from jaxcnn.weights.hugging_face import is_weights_folder
        from jaxcnn.weights.torch import to_torch

        if self.output.suffix not in WRITABLE:
            raise InputError(f"--output must end in {', '.join(WRITABLE)}, not {self.output.name}")
        folder = run_folder(expanded(self.source))
        if folder is not None and not is_weights_folder(folder):
            if given := self.given():
                raise InputError(f"{self.source} is a run, which knows its network: leave out --{' --'.join(given)}")
            config, facts, net, params, batch_stats, _ = self.restored(folder)
            name, shape = config.network, facts.input
        elif self.network:
            name, (net, params, batch_stats, shape, _) = self.network, self.loaded(self.network, self.source)
        else:
            raise InputError(f"{self.source} is not the folder of a run: say whose weights it has by --network NET")
        write(self.output, to_torch(net, params, batch_stats, shape))
        counts = f"{parameter_count(params):,} parameters and {parameter_count(batch_stats):,} statistics"
        print(f"{self.output}: {counts} of {name}, under PyTorch's names")
        return 0
