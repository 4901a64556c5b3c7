"""`jaxcnn diff`: the first layer that differs from a peer's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from jaxcnn.commands.command import FAILED, Command
from jaxcnn.commands.named import NetworkName
from jaxcnn.commands.weights import WeightsOptions
from jaxcnn.host.errors import InputError, input_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from jaxcnn.layout import Shape
    from jaxcnn.weights.difference import Difference
    from jaxcnn.weights.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Diff(WeightsOptions, Command):
    """Find the first layer that differs from a peer's activations.

    The dump is an .npz file of activations by layer, such as PyTorch's hooks collect:

      dump = {"input": x.numpy()}
      for name, module in model.named_modules():
          def keep(module, inputs, output, name=name):
              # a clone: ReLUs may work in place
              dump[name or "output"] = output.detach().clone().numpy()
          module.register_forward_hook(keep)
      model.eval()(x)
      np.savez("dump.npz", **dump)

    With an "input" in it the network reads that, and its own preprocessing of IMAGE is compared with it first.
    """

    computes = True

    network: NetworkName
    """A name that `jaxcnn models` lists, or module:function."""
    weights: Annotated[Positional[str], arg(metavar="WEIGHTS")]
    """A file of PyTorch's or Keras's weights, or imagenet."""
    image: Annotated[Positional[Path], arg(metavar="IMAGE")]
    """A photograph, or an .npy file: a preprocessed (H, W, C)."""
    dump: Annotated[Path, arg(metavar="FILE.npz")]
    """The peer's activations."""
    tolerance: float = 1e-3
    """The largest difference that is none, in standard deviations of the peer's activation."""

    def run(self) -> int:
        """Print every layer with its difference; exit status 1 where one differs."""
        from jaxcnn.weights.difference import differences
        from jaxcnn.weights.files import read

        if not self.tolerance > 0:
            raise InputError(f"--tolerance must be more than 0, not {self.tolerance}")
        if self.dump.suffix != ".npz":
            raise InputError(f"--dump must be an .npz file of activations, not {self.dump.name}")
        dump = read(self.dump)
        net, params, batch_stats, shape, preprocessing = self.loaded(self.network, self.weights)
        x = _image(self.image, preprocessing, shape)
        with input_errors():
            rows = differences(net, params, batch_stats, x, dump)
        return _show(rows, self.tolerance)


def _show(rows: Sequence[Difference], tolerance: float) -> int:
    from jaxcnn.layout import times

    width = max(len(row.path) for row in rows)
    first = None
    for row in rows:
        wrong = row.error is None or row.error > tolerance
        first = row if wrong and first is None else first
        size = "another shape" if row.error is None else f"{row.error:.1e}"
        print(f"{row.path:<{width}}  {times(row.shape):<14}  {size:<13}  {'differs' if wrong else 'equal'}")
    if first is None:
        print(f"\nall {len(rows)} activations agree within {tolerance:g} standard deviations")
        return 0
    wrong_by = f"by {first.error:.1e} standard deviations" if first.error is not None else ""
    before = [row.path for row in rows[: rows.index(first)]]
    print(
        f"\nthe first that differs is {first.path} ({wrong_by or f'it is {times(first.theirs)} there'}); "
        f"{f'{before[-1]} still agrees' if before else 'none agrees'}"
    )
    return FAILED


def _image(path: Path, preprocessing: Preprocessing, shape: Shape) -> np.ndarray:
    import numpy as np

    from jaxcnn.layout import times

    if path.suffix == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} is not a sound .npy file of numbers: {error}") from error
    else:
        x = preprocessing(path)
    if x.shape != shape:
        raise InputError(f"{path} gives an input of {times(x.shape)}, not {times(shape)}: give an .npy file of that")
    return x
