"""Pictures of numbers: grids, scales that are told, panels; and every view of a small network."""

from __future__ import annotations

from typing import get_args

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.charts.panels import Bars, Picture, figure
from jaxcnn.commands.main import main
from jaxcnn.commands.visualize import METHODS as OF_METHODS
from jaxcnn.commands.visualize import NAMES, OF_IMAGES
from jaxcnn.spec import Act, Conv, Dense, GlobalPool, Pool, seq
from jaxcnn.visualize.explanation import METHODS
from jaxcnn.visualize.pictures import around_gray, make_grid, overlay, saved, where
from jaxcnn.visualize.views import VIEWS, Asked, Examples, Shown, Subject
from jaxcnn.visualize.views.view import top_bars

SHAPE = (12, 12, 3)
NET = seq(conv1=Conv(4), act1=Act(), pool=Pool("max", 2), conv2=Conv(5), act2=Act(), gap=GlobalPool(), fc=Dense(7))
CLASSES = ("cat", "dog", "$5", "caf\udce9", "e", "f", "l" * 80)


@pytest.mark.parametrize("count, columns, size", [(7, 3, (3 * 7 + 2, 3 * 6 + 2)), (2, 5, (9, 14)), (1, 1, (9, 8))])
def test_a_grid_has_its_images_where_they_belong(count, columns, size):
    images = np.random.default_rng(0).integers(1, 255, (count, 5, 4, 3), dtype=np.uint8)
    grid = make_grid(images, columns, 2, 0)
    assert grid.shape == (*size, 3)
    columns = min(columns, count)
    for number, image in enumerate(images):
        top, left = 2 + number // columns * 7, 2 + number % columns * 6
        assert (grid[top : top + 5, left : left + 4] == image).all()
        grid[top : top + 5, left : left + 4] = 0
    assert not grid.any()
    with pytest.raises(ValueError, match="a grid has images"):
        make_grid(images[:0], 1)


def test_the_scale_of_signed_values_is_told():
    values = np.array([[[-2.0], [0.0], [1.0]]])
    scaled = around_gray(values)
    assert scaled.pixels.ravel().tolist() == [0, 128, 191] and scaled.limit == pytest.approx(2, rel=0.01)
    assert around_gray(values, 1.0).clipped == pytest.approx(1 / 3)
    assert (around_gray(np.zeros((2, 2, 1))).pixels == 128).all() and around_gray(np.zeros((2, 2, 1))).limit == 0
    single = np.zeros((20, 20))
    single[0, 0] = 1e-3  # less than half a percent of the pixels, and still seen
    assert around_gray(single[..., None]).limit == 1e-3


def test_red_speaks_for_blue_against_and_nothing_is_gray():
    image = np.full((3, 3, 1), 100, np.uint8)
    values = np.zeros((3, 3))
    values[0, 0], values[2, 2] = 1, -1
    pixels = overlay(image, values).pixels.astype(int)
    assert pixels[0, 0, 0] > pixels[0, 0, 2] + 50 and pixels[2, 2, 2] > pixels[2, 2, 0] + 50
    assert len(set(pixels[1, 1].tolist())) == 1
    assert (where(values), where(-values), where(np.eye(3)[::-1] * [[0], [1], [0]])) == (
        "upper left", "lower right", "in the middle",
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_read_again_as_its_file_holds_it(channels):
    rows = np.linspace(0, 200, 16)[:, None, None] + 20 * np.random.default_rng(0).normal(size=(16, 24, 1))
    image = np.repeat(np.clip(rows, 0, 255).astype(np.uint8), channels, -1)
    assert (saved(image) == image).all()
    off = [np.abs(saved(image, quality).astype(int) - image).mean() for quality in (90, 30)]
    assert saved(image, 90).shape == image.shape and 0 < off[0] < 5 and off[0] < off[1] / 2  # of noise of 20 levels


def test_the_five_most_probable_classes_are_sorted_and_the_right_one_is_marked():
    subject = Subject(NET, {}, {}, SHAPE, CLASSES, lambda x: x)
    shares = np.array([0.1, 0.3, 0.05, 0.2, 0.02, 0.03, 0.3])
    bars = top_bars(subject, shares, 3)
    assert bars.names == ["dog", "l" * 80, "caf\\xe9", "cat", "$5"] and list(bars.shares) == [0.3, 0.3, 0.2, 0.1, 0.05]
    assert (
        bars.right == 2 and top_bars(subject, shares, 4).right is None and top_bars(subject, shares, None).right is None
    )


@pytest.mark.slow
def test_panels_of_any_names_are_drawn_to_the_same_bytes():
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    panels = [
        Picture(pixels, "$x_{y$ " + CLASSES[3], "a caption\nof lines " * 9, 0.5, [(1, 3), (2, 5)]),
        Bars(CLASSES, [0.9, 0.1, 0, 0, 0, 0, 0], "bars", 1), Picture(pixels[..., :1]),
    ]  # fmt: skip
    one, other = (figure(panels, 2, "$t_{") for _ in range(2))
    assert one.tobytes() == other.tobytes() and one.mode == "RGB"
    assert figure(panels, 3).size[0] > one.size[0] and figure(panels, 3).size[1] < one.size[1]
    with pytest.raises(ValueError, match="at least one panel"):
        figure([], 2)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(NET, *jaxcnn.init(NET, jax.random.key(0), SHAPE), SHAPE, CLASSES, lambda pixels: pixels - 0.5)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)


LONG = (
    "explanations",
    "depths",
    "patches",
    "robustness",
    "confusions",
    "units",
    "classes",
    "patterns",
    "evolution",
    "fooled",
    "neighbors",
)  # seconds
ASKED = Asked(("gradcam",), steps=2, channels=(1, 3))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in VIEWS]
)
def test_every_view_tells_what_it_shows(name, subject, images):
    shown = Shown(images[:2], ("one", "two"), np.array([0, 6]))
    examples = Examples(images, np.arange(5))
    epochs = {epoch: jaxcnn.init(NET, jax.random.key(epoch), SHAPE) for epoch in (2, 5)}
    view = VIEWS[name](
        subject, shown, Asked(**(vars(ASKED) | {"examples": examples, "epochs": epochs, "tests": examples}))
    )
    assert len(view.panels) % view.columns == 0 or name == "units"
    assert view.sentences and view.title and view.numbers
    for panel in view.panels:
        assert isinstance(panel, Bars) or panel.pixels.dtype == np.uint8
    if name == "neighbors":  # of an image itself, at distance 0
        assert "one: cat 0; nearly the same image," in view.sentences[0]
        assert view.sentences[0].count("nearly") == 1
    if name == "explanations":
        assert (
            len(view.panels) == 6 and "gradcam of" in view.sentences[0] and "at act2, 6x6 places" in view.sentences[0]
        )
    if name == "evolution":
        assert len(view.panels) == 8 and view.panels[2].title == "channel 1, epoch 5"
        assert "values_2" in view.numbers and view.numbers["images_5"].shape == (5,)
    if name == "predictions":
        best = subject.shares(images[:2]).argsort(1)[:, ::-1]
        assert view.sentences[1].startswith(f"two: {subject.name(best[1, 0])} ") and len(view.panels) == 4
        assert view.sentences[0].endswith("; right" if best[0, 0] == 0 else "; it is cat")
    if name == "depths":  # the predicted class of both, and the true one where it is another
        wrong = int((subject.shares(images[:2]).argmax(1) != [0, 6]).sum())
        assert (len(view.panels) == 3 * (2 + wrong) and "(true, " in " ".join(view.sentences)) or not wrong
    if name == "patches":  # 10 to 90 of 224 pixels are 1, 1, 1, 2, 2 and 5 of 12
        assert view.columns == 4 and view.numbers["drops_5"].shape == (2, 5, 5, 7)
        spoken = view.panels[1].caption  # of a window of one pixel, every pixel is one window
        drops = view.numbers["drops_1"][0, ..., subject.shares(images[:1])[0].argmax()]
        assert f"at most {drops.max():.3g}" in spoken
    if name == "filters":
        (shades, halved, standard), kernels = (
            view.panels,
            np.moveaxis(np.asarray(subject.params["conv1"]["kernel"]), -1, 0),
        )
        cut = np.abs(kernels) > 1
        assert halved.caption.endswith(f"; {cut.mean():.1%} are cut off") and shades.caption.endswith("none is cut off")
        deviations = np.stack([(each - each.mean()) / each.std() for each in kernels])
        assert standard.caption.endswith(f"; {(abs(deviations) > 0.5).mean():.1%} are cut off")
        assert standard.pixels[1, 1, 0] == np.rint(255 * np.clip(deviations[0, 0, 0, 0] + 0.5, 0, 1))
    if name == "robustness":
        shares = view.panels[0].shares
        assert shares[0] == (subject.shares(images).argmax(1) == np.arange(5)).mean() and shares[-1] <= shares[0]
    if name == "units":  # by hand: the greatest sum of what comes into the activation
        maps = jaxcnn.features(NET, subject.params, subject.batch_stats, images / 255 - 0.5, "conv2")["conv2"]
        assert view.numbers["best"] == pytest.approx(np.asarray(maps).sum((1, 2)).max(0)[[1, 3]], rel=1e-4)
    if name == "maps":
        values = np.asarray(view.numbers["act1"][0]).mean(-1)
        assert view.panels[2].caption == f"black 0, white {values.max():.3g}" and view.columns == 5
    if name == "fields":
        assert [panel.box for panel in view.panels] == [[(5, 8)] * 2] * 2 + [[(3, 11)] * 2] * 2  # by hand
    if name == "confusions":
        said = subject.shares(images).argmax(1)
        counts = np.array([[int(((said == c) & (np.arange(5) == r)).sum()) for c in range(7)] for r in range(7)])
        assert (view.numbers["matrix"] == counts).all() and view.columns == 8 and len(view.panels) == 64
        for panel, count in zip(
            np.array(view.panels, object).reshape(8, 8)[1:, 1:].ravel(), counts.ravel(), strict=True
        ):
            assert panel.title.partition(":")[0] == str(count)
        assert f"{sum(said == np.arange(5))} of 5 test images are right" == view.sentences[0]
    if name == "fooled":
        assert "after JPEG of quality 90 " in view.sentences[0] and view.numbers["jpeg_75"].shape == (2, 7)
    if name == "patterns":
        assert [sentence.partition(":")[0] for sentence in view.sentences] == ["act2[1]", "act2[3]"]


def test_the_command_knows_every_view_and_method():
    assert get_args(NAMES) == tuple(VIEWS) and get_args(OF_METHODS) == tuple(METHODS)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_view_of_images_needs_one(name, subject, images):
    nothing = Shown(images[:0], ())
    with pytest.raises(ValueError, match="needs an image"):
        VIEWS[name](subject, nothing, ASKED)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, subject):
    """A folder with weights of a network of one's own, and an image."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("own")
    state = jaxcnn.to_torch(NET, subject.params, subject.batch_stats, SHAPE)
    save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, folder / "w.safetensors")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)).save(folder / "image.png")
    (folder / "a_small_net.py").write_text(
        "from jaxcnn.spec import *\n\n\ndef net(classes=7):\n    return " + repr(NET).replace("\n", "\n    ") + "\n"
    )
    return folder


@pytest.fixture
def visualize(weights, monkeypatch, capsys):
    monkeypatch.syspath_prepend(weights)
    monkeypatch.chdir(weights)
    for file in weights.glob("visualize*"):
        file.unlink()

    def run(*words):
        status = main(
            ["visualize", "a_small_net:net", *words, "--input", "12", "12", "3", "--weights", "w.safetensors"]
        )
        return status, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_the_command_writes_a_picture_and_its_numbers_and_says_what_they_show(visualize, weights):
    words = ["image.png", "--methods", "gradcam", "--of", "2", "class 4", "--numbers", "--unchecked"]
    status, shown, said = visualize(*words)
    assert (
        (status, said) == (0, "") and "image.png: gradcam of class 2 (logit" in shown and "gradcam of class 4" in shown
    )
    first = (weights / "visualize.png").read_bytes()
    assert Image.open(weights / "visualize.png").format == "PNG"
    numbers = dict(np.load(weights / "visualize.npz"))
    assert numbers["gradcam_0"].shape == (1, 12, 12) and numbers["probabilities"].sum() == pytest.approx(1, abs=1e-5)
    assert visualize(*words)[0] == 0 and (weights / "visualize.png").read_bytes() == first


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "visualize needs an image after the network"),
        (["nothing.png"], "there is no image nothing.png"),
        (["image.png"] * 33, "one picture shows at most 32 images"),
        (["image.png", "--of", "clas 3"], "there is no class 'clas 3'; did you mean 'class 3'?"),
        (["image.png", "--at", "act9"], "no layer is called 'act9'; did you mean 'act2'?"),
        (["image.png", "--methods", "occlusion", "--window", "13"], "a window of 13x13 is larger than images of 12x12"),
        (["image.png", "--show", "filters"], "--show filters takes no images, but image.png is given"),
        (["--show", "patterns"], "patterns are looked for in the training images of a run"),
        (["image.png", "--show", "maps", "--channels", "99"], "there is no channel 99 of layer 'act1'"),
        (["--show", "evolution"], "evolutions are looked for in the training images of a run"),
        (["image.png", "--output", "a.jpg"], "which ends in .png, not a.jpg"),
        (["image.png", "--output", "no/a.png"], "--output no/a.png is in a folder that there is not"),
        (["image.png", "--epsilon", "0"], "--epsilon must be at least 1, not 0"),
        (["image.png", "--show", "fooled", "--of", "1", "2"], "images are turned to one class, not to 2"),
    ],
)  # fmt: skip
def test_what_the_command_cannot_show_gets_a_sentence_and_leaves_nothing(visualize, weights, words, sentence):
    status, shown, said = visualize(*words)
    assert status == 2 and sentence in said and said.count("\n") == 1 and shown == ""
    assert not list(weights.glob("visualize*")) and not list(weights.glob("*.partial"))
