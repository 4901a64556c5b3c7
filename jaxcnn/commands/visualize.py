"""`jaxcnn visualize`: what a trained network sees, and where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from jaxcnn.commands.classifier import Classifier, ClassifierOptions, images_of
from jaxcnn.commands.command import Command
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.restored import found
from jaxcnn.host.errors import InputError, input_errors

if TYPE_CHECKING:
    from jaxcnn.data import Dataset
    from jaxcnn.layout import Params
    from jaxcnn.visualize.views import Asked, Shown, View

NAMES = Literal[
    "explanations", "depths", "patches", "predictions", "maps", "filters", "units", "classes", "fooled", "robustness",
    "patterns", "evolution", "neighbors", "fields", "confusions",
]  # fmt: skip
METHODS = Literal[
    "saliency", "integrated_gradients", "guided", "deconvnet", "gradcam", "gradcam++", "hirescam", "occlusion"
]
OF_IMAGES = ("explanations", "depths", "patches", "predictions", "maps", "fooled", "neighbors", "fields")
OF_EXAMPLES = ("patterns", "evolution", "neighbors")
MOST = 32  # images of one picture
OF_TESTS = ("confusions", "robustness")
OF_EXAMPLES_IF_ANY = ("units", "classes")
TESTED = {"predictions": 8}  # test images that are shown where none is named, else FEW
FEW = 4


@dataclass(frozen=True, kw_only=True)
class Visualize(ClassifierOptions, Command):
    """Draw what a trained network sees, and where it looks.

    The picture goes to OUTPUT; what it shows is said in sentences, too.

      explanations  images, what is said of them, and what speaks for it
      depths        Grad-CAM at the end of every stage
      patches       occlusion with windows of six sizes
      predictions   images and their most probable classes
      maps          what the channels of a layer respond to in images
      filters       the kernels of the first convolution
      units         images that the channels of a layer make the most of
      classes       the same of classes, without and with a price of ink
      fooled        changes of some steps of 8 bits that turn images
      robustness    how many test images stay right under such changes
      patterns      training images that channels respond to the most
      evolution     the same after each epoch that was kept (--keep-epochs)
      neighbors     training images nearest to images in the last hidden layer
      fields        which pixels a unit sees, and which of them count
      confusions    the confusion matrix of the test images, in images
    """

    computes = True

    images: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="IMAGE...", help_behavior_hint="(default: some of a run's test images)"),
    ] = ()
    """Images, and folders of them."""
    show: NAMES = "explanations"
    """What is drawn."""
    methods: Annotated[tuple[METHODS, ...], arg(metavar="METHOD...")] = (
        "gradcam",
        "integrated_gradients",
        "occlusion",
    )
    """How it is explained where a network looks."""
    of: Annotated[
        tuple[str, ...], arg(metavar="CLASS...", help_behavior_hint="(default: the most probable one of each image)")
    ] = ()
    """Classes that are explained, drawn, or to which images are turned: names or numbers."""
    at: Annotated[str | None, arg(metavar="PATH", help_behavior_hint="(default: the last one with a map)")] = None
    """The layer, by its name in `jaxcnn summary`."""
    channels: Annotated[tuple[int, ...], arg(metavar="N...", help_behavior_hint="(default: the first ones)")] = ()
    """Channels of the layer."""
    window: Annotated[int | None, arg(metavar="PIXELS", help_behavior_hint="(default: a quarter of the image)")] = None
    """The side of the window of occlusion."""
    tolerance: Annotated[float, arg(metavar="SHARE")] = 0.02
    """What the sum of integrated gradients may lack: their steps are doubled until it lacks no more."""
    epsilon: Annotated[int, arg(metavar="N")] = 1
    """By how many steps of 8 bits a pixel may change to fool a network."""
    ink: float = 0.02
    """What a white pixel costs in the second row of classes."""
    smooth: float = 0.0
    """What the squared difference of two neighboring pixels costs in images of units and classes."""
    steps: Annotated[int, arg(metavar="N")] = 200
    """Of units and classes: how often their images are changed."""
    energy: Flag = False
    """Of units: the sum of the squares of a channel is made the most of, instead of its sum."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Draws what checks compare with, and what images of units and classes begin with."""
    unchecked: Flag = False
    """Leave out the checks of explanations, which take longer than these."""
    output: Annotated[Path, arg(metavar="FILE")] = Path("visualize.png")
    """The picture, a PNG."""
    numbers: Flag = False
    """Write the numbers behind it too, to an .npz beside it."""

    def run(self) -> int:
        """Draw, write and tell."""
        from jaxcnn.charts.panels import figure
        from jaxcnn.host.files import write_bytes
        from jaxcnn.host.text import printable

        self._check()
        view = self._view()
        image = figure(view.panels, view.columns, view.title, view.width)
        files = {self.output: _png(image)}
        if self.numbers:
            files[self.output.with_suffix(".npz")] = _npz(view.numbers)
        for path, data in files.items():
            try:
                write_bytes(path, data)
            except OSError as error:
                raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
        for sentence in view.sentences:
            print(sentence)
        print(f"written: {', '.join(printable(str(path)) for path in files)}")
        return 0

    def _check(self) -> None:
        if self.output.suffix != ".png":
            raise InputError(f"--output is the name of a PNG, which ends in .png, not {self.output}")
        if not self.output.absolute().parent.is_dir():
            raise InputError(f"--output {self.output} is in a folder that there is not")
        for name in "epsilon", "steps", "window":
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"--{name} must be at least 1, not {value}")
        if self.seed < 0 or self.ink < 0:
            raise InputError("--seed and --ink are not negative")
        if not self.tolerance > 0:
            raise InputError(f"--tolerance is above 0, not {self.tolerance:g}")
        if self.epsilon > 255:
            raise InputError(f"--epsilon is at most 255 steps of 8 bits, not {self.epsilon}")

    def _view(self) -> View:
        from jaxcnn.visualize.views import VIEWS, Subject

        classifier = self.classifier()
        dataset = self._dataset(classifier)
        shown = self._shown(classifier, dataset)
        asked = self._asked(classifier, dataset)
        subject = Subject(
            classifier.net, classifier.params, classifier.batch_stats, classifier.shape, classifier.classes,
            lambda pixels: classifier.normalize(255 * pixels),
        )  # fmt: skip
        with input_errors():
            return VIEWS[self.show](subject, shown, asked)

    def _dataset(self, classifier: Classifier) -> Dataset | None:
        """The run's images, where some are needed."""
        from jaxcnn.data import load

        wanted = self.show in (*OF_EXAMPLES, *OF_EXAMPLES_IF_ANY, *OF_TESTS) or (
            self.show in OF_IMAGES and not self.images
        )
        return load(classifier.config.data) if wanted and classifier.config else None

    def _shown(self, classifier: Classifier, dataset: Dataset | None) -> Shown:
        import numpy as np

        from jaxcnn.visualize.views import Shown

        if self.show not in OF_IMAGES:
            if self.images:
                raise InputError(f"--show {self.show} takes no images, but {self.images[0]} is given")
            return Shown(np.zeros((0, *classifier.shape), np.uint8), ())
        if self.images:
            pairs = list(islice(images_of(self.images, classifier.read), MOST + 1))
            if len(pairs) > MOST:
                raise InputError(f"one picture shows at most {MOST} images: give fewer, or a smaller folder")
            return Shown(np.stack([image for _, image in pairs]), [str(path) for path, _ in pairs])
        if dataset is None:
            raise InputError("visualize needs an image after the network")
        some = dataset.limited(TESTED.get(self.show, FEW)).test
        places = np.linspace(0, len(dataset.test.labels) - 1, len(some.labels), dtype=int)
        return Shown(np.asarray(some.images), [f"test image {number}" for number in places], some.labels)

    def _epochs(self, classifier: Classifier) -> dict[int, tuple[Params, Params]] | None:
        """The networks of a run's kept epochs, where they are to be shown."""
        from jaxcnn.training.epochs import kept_epochs

        if self.show != "evolution" or self.weights:
            return None
        return kept_epochs(found(self.folder), classifier.net, classifier.shape)

    def _asked(self, classifier: Classifier, dataset: Dataset | None) -> Asked:
        from jaxcnn.visualize.views import Asked, Examples

        chosen = tuple(class_number(name, classifier.classes) for name in self.of)
        examples, tests = (
            Examples(split.images, split.labels) if split else None
            for split in ((dataset.train, dataset.test) if dataset else (None, None))
        )
        return Asked(
            self.methods, chosen, self.at, self.channels, self.window, self.epsilon, self.ink, self.steps,
            not self.unchecked, self.seed, examples, self.smooth, self._epochs(classifier), tests, self.tolerance,
            self.energy,
        )  # fmt: skip


def class_number(name: str, classes: Sequence[str]) -> int:
    """The number of a class that is called so, or has that number. Raises InputError where there is none."""
    import difflib

    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    close = difflib.get_close_matches(name, classes, n=1)
    some = ", ".join(classes[:10]) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {some}"
    raise InputError(f"there is no class {name!r}; {hint}")


def _png(image) -> bytes:
    import io

    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _npz(numbers) -> bytes:
    import io

    import numpy as np

    file = io.BytesIO()
    np.savez_compressed(file, **numbers)
    return file.getvalue()
