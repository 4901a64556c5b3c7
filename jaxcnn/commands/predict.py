"""`jaxcnn predict`: what a trained network sees in images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from tyro.conf import Positional, arg

from jaxcnn.commands.command import Command, say
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.restored import RunOptions, ViewOptions
from jaxcnn.commands.weights import WeightsOptions
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.host.text import counted, printable

if TYPE_CHECKING:
    from jaxcnn.data.augment.views import Views

BATCH = 32  # images that are computed at once


class Classifier(NamedTuple):
    """From a file to an array (H, W, C), from arrays (N, H, W, C) to probabilities (N, K), and K names."""

    read: Callable[[Path], np.ndarray]
    probabilities: Callable[[np.ndarray], np.ndarray]
    classes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Predict(WeightsOptions, RunOptions, ViewOptions, Command):
    """Say what a trained network sees in images."""

    computes = True

    folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder of a run, such as results/digits, or its name; with --weights, a network of `jaxcnn models`."""
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE...", help_behavior_hint="(required)")] = ()
    """Images, and folders of them."""
    weights: Annotated[str | None, arg(metavar="WEIGHTS", help_behavior_hint="(default: the run's)")] = None
    """Of a network: imagenet, or a file of PyTorch's or Keras's weights."""
    top: Annotated[int, arg(metavar="N")] = 5
    """How many classes to show, the most probable first."""
    json: Flag = False
    """Print JSON."""

    def run(self) -> int:
        """Print the most probable classes of every image."""
        import json

        from jaxcnn.charts.bars import bars

        if not self.images:
            raise InputError("predict needs an image, or a folder of images, after the run")
        if self.top < 1:
            raise InputError(f"--top must be at least 1, not {self.top}")
        classifier = self._of_weights(self.weights) if self.weights else self._of_run()
        names = [printable(name) for name in classifier.classes]
        found = []
        for path, shares in _predictions(classifier, _images(self.images, classifier.read)):
            if self.json:
                best = shares.argsort()[::-1][: self.top]
                shown = [{"class": classifier.classes[i], "probability": float(shares[i])} for i in best]
                found.append({"image": printable(str(path)), "classes": shown})
            else:
                print(f"{printable(str(path))}\n{bars(shares, names, self.top)}")
        if self.json:
            print(json.dumps(found, indent=1))
        return 0

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
            lambda path: read_image(path, (height, width), channels, config.data.fit, config.data.resize),
            _probabilities(
                net, params, batch_stats, lambda images: normalize(images, facts.mean, facts.std), self.views()
            ),
            facts.classes,
        )

    def _of_weights(self, weights: str) -> Classifier:
        from jaxcnn.layout import output_shape, times

        net, params, batch_stats, shape, preprocess = self.loaded(str(self.folder), weights)
        if shape[0] != shape[1] or shape[-1] != 3:
            raise InputError(f"--weights predicts from square images in color, not {times(shape)}")
        count = output_shape(net, shape)[-1]
        of_others = len(preprocess.classes) != count  # another classifier than the published one
        classes = [f"class {number}" for number in range(count)] if of_others else preprocess.classes
        return Classifier(
            preprocess, _probabilities(net, params, batch_stats, lambda images: images, self.views()), classes
        )


def _probabilities(
    net: Any, params: Any, batch_stats: Any, prepare: Callable[[Any], Any], views: Views
) -> Callable[[np.ndarray], np.ndarray]:
    import jax
    import jax.numpy as jnp

    from jaxcnn.data.augment.views import together
    from jaxcnn.forward_pass import apply

    @jax.jit
    def compute(images: Any) -> Any:
        return jnp.exp(together([apply(net, params, batch_stats, view)[0] for view in views(prepare(images))]))

    def probabilities(images: np.ndarray) -> np.ndarray:
        with input_errors():
            return np.asarray(compute(images))

    return probabilities


def _predictions(
    classifier: Classifier, images: Iterator[tuple[Path, np.ndarray]]
) -> Iterator[tuple[Path, np.ndarray]]:
    """The probabilities (K,) of every image, computed in batches of one size, so that the network is compiled once."""
    size = None
    while batch := list(islice(images, BATCH)):
        paths, arrays = zip(*batch, strict=True)
        size = size or len(batch)
        filled = np.stack([*arrays, *arrays[:1] * (size - len(batch))])
        yield from zip(paths, classifier.probabilities(filled)[: len(batch)], strict=True)


def _images(paths: Sequence[Path], read: Callable[[Path], np.ndarray]) -> Iterator[tuple[Path, np.ndarray]]:
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
