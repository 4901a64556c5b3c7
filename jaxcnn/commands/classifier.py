"""The classifier that a command line names, of a run or of published weights, and the images that it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from tyro.conf import Positional, arg

from jaxcnn.commands.command import say
from jaxcnn.commands.restored import RunOptions
from jaxcnn.commands.weights import WeightsOptions
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.host.text import counted, printable

if TYPE_CHECKING:
    from jaxcnn.config import TrainConfig
    from jaxcnn.layout import Params, Shape
    from jaxcnn.spec import Spec

Images = Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE...", help_behavior_hint="(required)")]


class Classifier(NamedTuple):
    """A network with its arrays, how it reads and normalizes images, and the names of its classes."""

    net: Spec
    params: Params
    batch_stats: Params
    shape: Shape
    read: Callable[[Path], np.ndarray]  # a file as pixels uint8 (H, W, C)
    normalize: Callable[[Any], Any]  # pixels (N, H, W, C) from 0 to 255 as what the network takes
    classes: Sequence[str]
    config: TrainConfig | None  # of a run


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(WeightsOptions, RunOptions):
    """The options of a classifier that a command line names."""

    folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder of a run, such as results/digits, or its name; with --weights, a network of `jaxcnn models`."""
    weights: Annotated[str | None, arg(metavar="WEIGHTS", help_behavior_hint="(default: the run's)")] = None
    """Of a network: imagenet, or a file of PyTorch's or Keras's weights."""

    def classifier(self) -> Classifier:
        """What the options name. Raises InputError where that is no classifier of images."""
        return self._of_weights(self.weights) if self.weights else self._of_run()

    def _of_run(self) -> Classifier:
        from jaxcnn.data.images import read_image
        from jaxcnn.data.pixels import normalize
        from jaxcnn.tasks import Classification

        config, facts, net, params, batch_stats, _ = self.restored(self.folder)
        if given := self.given():
            raise InputError(f"{self.folder} is a run, which knows its network: leave out --{' --'.join(given)}")
        if not isinstance(config.task, Classification):
            raise InputError(f"{self.folder} has learned {config.task.kind()}, and tells no classes apart")
        height, width, channels = facts.input
        return Classifier(
            net, params, batch_stats, facts.input,
            lambda path: read_image(path, (height, width), channels, config.data.fit, config.data.resize),
            lambda images: normalize(images, facts.mean, facts.std), facts.classes, config,
        )  # fmt: skip

    def _of_weights(self, weights: str) -> Classifier:
        from jaxcnn.layout import output_shape, times

        net, params, batch_stats, shape, preprocess = self.loaded(str(self.folder), weights)
        if shape[0] != shape[1] or shape[-1] != 3:
            raise InputError(f"--weights takes square images in color, not {times(shape)}")
        count = output_shape(net, shape)[-1]
        of_others = len(preprocess.classes) != count  # another classifier than the published one
        classes = [f"class {number}" for number in range(count)] if of_others else preprocess.classes
        return Classifier(net, params, batch_stats, shape, preprocess.pixels, preprocess.normalize, classes, None)


def images_of(paths: Sequence[Path], read: Callable[[Path], np.ndarray]) -> Iterator[tuple[Path, np.ndarray]]:
    """Every image, and those in every folder, in order; what is none in a folder is left out with a word.

    Raises InputError for a file that is no image, and for a folder without any.
    """
    for path in paths:
        if not path.is_dir():
            with input_errors():
                yield path, read(path)
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
        left_out: list[Path] = []
        for file in files:
            try:
                image = read(file)
            except ValueError:
                left_out.append(file)
            else:
                yield file, image
        if len(left_out) == len(files):
            raise InputError(f"there is no image in the folder {path}")
        if left_out:
            names = ", ".join(printable(file.name) for file in left_out[:3]) + (", ..." if len(left_out) > 3 else "")
            say(f"left out of {path}: {counted(len(left_out), 'file')} that cannot be read as an image ({names})", 0)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
