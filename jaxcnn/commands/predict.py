"""`jaxcnn predict`: what a trained network sees in images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from tyro.conf import arg

from jaxcnn.commands.classifier import Classifier, ClassifierOptions, Images, images_of
from jaxcnn.commands.command import Command
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.restored import ViewOptions
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.host.text import printable

if TYPE_CHECKING:
    from jaxcnn.data.augment.views import Views

BATCH = 32  # images that are computed at once


@dataclass(frozen=True, kw_only=True)
class Predict(ClassifierOptions, ViewOptions, Command):
    """Say what a trained network sees in images."""

    computes = True

    images: Images = ()
    """Images, and folders of them."""
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
        classifier = self.classifier()
        names = [printable(name) for name in classifier.classes]
        found = []
        for path, shares in _predictions(classifier, self.views(), images_of(self.images, classifier.read)):
            if self.json:
                best = shares.argsort()[::-1][: self.top]
                shown = [{"class": classifier.classes[i], "probability": float(shares[i])} for i in best]
                found.append({"image": printable(str(path)), "classes": shown})
            else:
                print(f"{printable(str(path))}\n{bars(shares, names, self.top)}")
        if self.json:
            print(json.dumps(found, indent=1))
        return 0


def _probabilities(classifier: Classifier, views: Views) -> Callable[[np.ndarray], np.ndarray]:
    import jax
    import jax.numpy as jnp

    from jaxcnn.data.augment.views import together
    from jaxcnn.forward_pass import apply

    @jax.jit
    def compute(images: Any) -> Any:
        shown = views(classifier.normalize(images))
        arrays = classifier.net, classifier.params, classifier.batch_stats
        return jnp.exp(together([apply(*arrays, view)[0] for view in shown]))

    def probabilities(images: np.ndarray) -> np.ndarray:
        with input_errors():
            return np.asarray(compute(images))

    return probabilities


def _predictions(
    classifier: Classifier, views: Views, images: Iterator[tuple[Path, np.ndarray]]
) -> Iterator[tuple[Path, np.ndarray]]:
    """The probabilities (K,) of every image, computed in batches of one size, so that the network is compiled once."""
    size, probabilities = None, _probabilities(classifier, views)
    while batch := list(islice(images, BATCH)):
        paths, arrays = zip(*batch, strict=True)
        size = size or len(batch)
        filled = np.stack([*arrays, *arrays[:1] * (size - len(batch))])
        yield from zip(paths, probabilities(filled)[: len(batch)], strict=True)
