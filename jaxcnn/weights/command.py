"""`jaxcnn convert`: weights from one file to another. `jaxcnn diff`: the first layer that differs from a peer's."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxcnn.errors import InputError, input_errors
from jaxcnn.layout import Params, Shape, parameter_count, times
from jaxcnn.named import add_network_argument, add_network_options, named
from jaxcnn.spec import Spec
from jaxcnn.weights.difference import differences
from jaxcnn.weights.files import WRITABLE, read, write
from jaxcnn.weights.preprocessing import Preprocessing
from jaxcnn.weights.pretrained import load_weights, preprocessing_of, weights_file
from jaxcnn.weights.torch import to_torch

_RECIPE = """The dump is an .npz file of activations by layer, such as PyTorch's hooks collect:

  dump = {"input": x.numpy()}
  for name, module in model.named_modules():
      def keep(module, inputs, output, name=name):
          dump[name or "output"] = output.detach().clone().numpy()  # a clone: ReLUs may work in place
      module.register_forward_hook(keep)
  model.eval()(x)
  np.savez("dump.npz", **dump)

With an "input" in it the network reads that, and its own preprocessing of IMAGE is compared with it first."""


def add_convert_options(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], tuple[str, Spec, Params, Params, Shape]]
) -> None:
    """Describe `jaxcnn convert`; `run` reads a run: its network's name, the network, its arrays, its input."""
    parser.description = "Convert weights to a file under PyTorch's names, for load_state_dict, jaxcnn or safetensors."
    sources = "a file of PyTorch's or Keras's weights, imagenet, or the folder of a run"
    parser.add_argument("source", metavar="SOURCE", help=sources)
    parser.add_argument("--network", metavar="NET", help="the network that the weights are of; a run knows its own")
    add_network_options(parser)
    kinds = ", ".join(WRITABLE)
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help=f"what to write: {kinds}")
    parser.set_defaults(run=_convert, of_run=run)


def add_diff_options(parser: argparse.ArgumentParser) -> None:
    """Describe `jaxcnn diff`."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _RECIPE
    add_network_argument(parser)
    parser.add_argument("weights", metavar="WEIGHTS", help="a file of PyTorch's or Keras's weights, or imagenet")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a photograph, or .npy: a preprocessed (H, W, C)")
    parser.add_argument("--dump", required=True, type=Path, metavar="FILE.npz", help="the peer's activations")
    parser.add_argument(
        "--tolerance", type=float, default=1e-3, metavar="T",
        help="the largest difference that is none, in standard deviations of the peer's activation (default 1e-3)",
    )  # fmt: skip
    add_network_options(parser)
    parser.set_defaults(run=_diff)


def loaded(arguments: argparse.Namespace, weights: str) -> tuple[Spec, Params, Params, Shape, Preprocessing]:
    """The network that a command line names, with its weights, its input and what they want of an image.

    Raises InputError where there is no such network or option, or the weights do not fit.
    """
    net, options, shape = named(arguments)
    with input_errors():
        params, batch_stats = load_weights(net, weights_file(arguments.network, weights, options=options), shape)
    return net, params, batch_stats, shape, preprocessing_of(arguments.network, weights, shape, options)


def _convert(arguments: argparse.Namespace) -> int:
    if arguments.output.suffix not in WRITABLE:
        raise InputError(f"--output must end in {', '.join(WRITABLE)}, not {arguments.output.name}")
    if Path(arguments.source).is_dir():
        name, net, params, batch_stats, shape = arguments.of_run(arguments)
    elif arguments.network:
        name, (net, params, batch_stats, shape, _) = arguments.network, loaded(arguments, arguments.source)
    else:
        raise InputError(f"{arguments.source} is not the folder of a run: say whose weights it has by --network NET")
    write(arguments.output, to_torch(net, params, batch_stats, shape))
    counts = f"{parameter_count(params):,} parameters and {parameter_count(batch_stats):,} statistics"
    print(f"{arguments.output}: {counts} of {name}, under PyTorch's names")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    if not arguments.tolerance > 0:
        raise InputError(f"--tolerance must be more than 0, not {arguments.tolerance}")
    if arguments.dump.suffix != ".npz":
        raise InputError(f"--dump must be an .npz file of activations, not {arguments.dump.name}")
    dump = read(arguments.dump)
    net, params, batch_stats, shape, preprocessing = loaded(arguments, arguments.weights)
    x = _image(arguments.image, preprocessing, shape)
    with input_errors():
        rows = differences(net, params, batch_stats, x, dump)
    width = max(len(row.path) for row in rows)
    first = None
    for row in rows:
        wrong = row.error is None or row.error > arguments.tolerance
        first = row if wrong and first is None else first
        size = "another shape" if row.error is None else f"{row.error:.1e}"
        print(f"{row.path:<{width}}  {times(row.shape):<14}  {size:<13}  {'differs' if wrong else 'equal'}")
    if first is None:
        print(f"\nall {len(rows)} activations agree within {arguments.tolerance:g} standard deviations")
        return 0
    by = (
        f"by {first.error:.1e} standard deviations" if first.error is not None else f"it is {times(first.theirs)} there"
    )
    before = [row.path for row in rows[: rows.index(first)]]
    print(
        f"\nthe first that differs is {first.path} ({by}); {f'{before[-1]} still agrees' if before else 'none agrees'}"
    )
    return 1


def _image(path: Path, preprocessing: Preprocessing, shape: Shape) -> np.ndarray:
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
