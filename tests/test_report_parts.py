"""What a report is made of: curves as SVG, intervals, calibration, pictures, and the template with every block."""

import base64
import io
import re
from importlib.resources import files

import jax
import numpy as np
import pytest
from page_reader import Page, contrast, mixed
from PIL import Image
from scipy.stats import binom
from sklearn.linear_model import Ridge

import jaxcnn
from jaxcnn.charts.svg import Axis, Line, curves, histogram, ticks
from jaxcnn.host.errors import InputError
from jaxcnn.readings.diagram import diagram
from jaxcnn.report import blocks, page
from jaxcnn.report.corruptions import CORRUPTIONS, corrupted
from jaxcnn.report.estimates import calibration, disagreement, linear_accuracy, proportion
from jaxcnn.report.images import picture, sprite
from jaxcnn.report.neighborhood import neighborhood
from jaxcnn.report.verdict import Head
from jaxcnn.spec import Act, Conv, Dense, GlobalPool, Identity, add, seq
from jaxcnn.visualize.subject import Subject

RNG = np.random.default_rng(0)


def numbers(text: str, name: str) -> list[float]:
    return [float(number) for number in re.findall(rf'\b{name}="(-?[\d.]+)"', text)]


def test_points_stand_where_their_numbers_say():
    svg = curves(
        [Line("a<b", [(0, 0), (5, 50), (10, 100)])], Axis("x", 0, 10), Axis("y", 0, 100), "told", size=(420, 230)
    )
    ((path,),) = [re.findall('<polyline class="line s0" points="([^"]+)"', svg)]
    places = np.array([[float(number) for number in point.split(",")] for point in path.split()])
    np.testing.assert_allclose(places, [[48, 194], [228, 111], [408, 28]])  # the area is 48 to 408 by 28 to 194
    assert 'aria-label="told"' in svg and "a&lt;b" in svg and "a<b" not in svg


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors_and_leaves_out_what_is_not_positive():
    svg = curves(
        [Line("", [(1, 1), (2, 0), (3, 10), (4, float("nan")), (5, 100)])], Axis("x"), Axis("y", log=True), "told"
    )
    (path,) = re.findall('points="([^"]+)"', svg)
    heights = [float(point.split(",")[1]) for point in path.split()]
    assert len(heights) == 3 and heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.1)  # 1 digit
    with pytest.raises(ValueError, match="at least one point"):
        curves([Line("", [(1, -1)])], Axis("x"), Axis("y", log=True), "told")


def test_the_same_value_everywhere_is_drawn_within_the_chart():
    svg = curves([Line("", [(1, 3.0), (2, 3.0)])], Axis("x"), Axis("y"), "told")
    (path,) = re.findall('points="([^"]+)"', svg)
    assert all(28 < float(point.split(",")[1]) < 194 for point in path.split())


@pytest.mark.parametrize("low, high", [(0, 1), (-3.7, 12.2), (1e-4, 3e-4), (0, 123456), (5, 5)])
def test_ticks_are_few_round_numbers_within_the_range(low: float, high: float):
    found = ticks(low, high)
    assert 1 <= len(found) <= 6 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = np.diff(found)
    assert len(steps) == 0 or np.allclose(steps, steps[0])


def test_a_histogram_is_as_high_as_its_largest_count():
    svg = histogram([1, 4, 2, 0], "told", size=(40, 20), zero=0.5)
    (path,) = re.findall(' d="([^"]+)"', svg)
    assert [float(top) for top in re.findall(r"V([\d.]+)H", path)] == [15, 0, 10, 20]
    assert numbers(svg, "x1") == [20.0]


def test_wilsons_interval_is_where_the_score_test_has_its_limit():
    """Both ends p solve |k/n - p| = z sqrt(p (1 - p) / n); 1.959964 is z of 95%."""
    found = proportion(357, 359)
    for end in found.low, found.high:
        assert abs(357 / 359 - end) == pytest.approx(
            1.959964 * np.sqrt(end * (1 - end) / 359), rel=1e-5
        )  # z has 7 digits
    assert found.text() == "99.4% (98.0 to 99.8)" and proportion(0, 0).low == 0 and proportion(0, 0).high == 1


def test_runs_disagree_as_often_as_counted_and_by_chance_as_the_binomial_says():
    one, other = np.array([1, 1, 1, 1, 1, 0, 1, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    first, second, chance = disagreement(one, other)
    assert (first, second) == (5, 1)
    assert chance == pytest.approx(2 * binom.cdf(1, 6, 0.5))  # both sides of a symmetric distribution
    assert disagreement(one, one) == (0, 0, 1.0)


def test_calibration_is_that_of_a_loop_over_the_bins():
    confidence = RNG.uniform(0.1, 1, 500)
    right = RNG.uniform(size=500) < confidence**2
    found = calibration(confidence, right, bins=10)
    errors = []
    for low in range(10):
        here = (confidence >= low / 10) & (confidence < (low + 1) / 10 if low < 9 else confidence <= 1)
        if here.any():
            errors.append((here.sum(), abs(confidence[here].mean() - right[here].mean())))
    assert found.error == pytest.approx(sum(n * gap for n, gap in errors) / 500)
    assert found.largest == pytest.approx(max(gap for _, gap in errors)) and found.counts.sum() == 500
    honest = calibration(np.full(4, 0.75), np.array([1, 1, 1, 0], bool))
    assert honest.error == 0 and honest.counts.tolist() == [4]


def test_the_linear_baseline_is_scikit_learns_ridge():
    images = RNG.integers(0, 256, (200, 4, 5, 1), dtype=np.uint8)
    labels = (images[:, 0, 0, 0] > 127).astype(int) + 2 * (images[:, 1, 2, 0] > 127)
    flat = images.reshape(200, -1) / 255
    train, test = slice(0, 150), slice(150, 200)
    strength = 0.01 * 150 * flat[train].var(0).mean()
    model = Ridge(alpha=strength).fit(flat[train], np.eye(4)[labels[train]])
    expected = (model.predict(flat[test]).argmax(1) == labels[test]).mean()
    assert linear_accuracy((images[train], labels[train]), (images[test], labels[test]), 4) == pytest.approx(expected)
    assert 0.3 < expected < 1  # it has something to be wrong about


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_holds_the_pixels_to_the_bit_and_a_sprite_each_image_in_its_place(channels: int):
    images = RNG.integers(0, 256, (5, 6, 7, channels), dtype=np.uint8)
    shown = picture(images[0], "told")
    np.testing.assert_array_equal(decoded(shown.uri).reshape(images[0].shape), images[0])
    assert (shown.width, shown.height) == (7, 6) and shown.uri.startswith("data:image/png;")
    grid = sprite(images, 3, "told", padding=2)
    pixels = decoded(grid.uri)
    assert pixels.shape == (2 * 8 + 2, 3 * 9 + 2, channels + 1)
    np.testing.assert_array_equal(pixels[10:16, 11:18, :-1], images[4])  # second row, second column
    assert pixels[..., -1].sum() == 255 * 5 * 6 * 7  # what is between them is transparent


def test_a_large_image_is_shrunk():
    shown = picture(RNG.integers(0, 256, (300, 200, 3), dtype=np.uint8), "told")
    assert (shown.width, shown.height) == (64, 96) and shown.uri.startswith("data:image/jpeg;")


def test_corruptions_grow_with_their_levels_and_are_the_same_each_time():
    images = RNG.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    for corruption in CORRUPTIONS:
        spoilt = [corrupted(images, corruption, level).astype(int) for level in corruption.levels]
        gaps = [np.abs(each - images).mean() for each in spoilt]
        assert gaps == sorted(gaps) and gaps[0] > 0, corruption.name
        np.testing.assert_array_equal(spoilt[0], corrupted(images, corruption, corruption.levels[0]))
    noise = corrupted(np.full((1, 64, 64, 1), 128, np.uint8), CORRUPTIONS[0], 16).astype(float)
    assert noise.std() == pytest.approx(16, rel=0.05)  # of 4,096 draws: its own deviation is 1.1%


def test_neighbors_of_many_images_are_those_that_are_found_one_by_one(monkeypatch):
    monkeypatch.setattr("jaxcnn.visualize.neighbors.BLOCK", 7)
    net = seq(conv=Conv(4, 3), act=Act(), mean=GlobalPool(), fc=Dense(3))
    params, stats = jaxcnn.init(net, jax.random.key(0), (6, 6, 1))
    subject = Subject(net, params, stats, (6, 6, 1), ["a", "b", "c"], lambda images: images)
    train, test = (RNG.integers(0, 256, (n, 6, 6, 1), dtype=np.uint8) for n in (90, 20))
    found = neighborhood(subject, train, test, 16)
    assert found is not None
    hidden = [jaxcnn.features(net, params, stats, images / np.float32(255), "mean") for images in (test, train)]
    queries, vectors = (np.asarray(each["mean"], np.float64) for each in hidden)
    every = np.sqrt(((queries[:, None] - vectors) ** 2).sum(-1))
    expected = np.argsort(every, 1, kind="stable")[:, :6]
    np.testing.assert_array_equal(found.indices, expected)
    apart = np.take_along_axis(every, expected, 1)
    np.testing.assert_allclose(found.distances, apart, rtol=1e-4)  # of features in float32, summed in another order


def test_the_diagram_has_a_line_for_each_layer_and_an_arc_for_each_shortcut():
    block, short = add(seq(conv=Conv(4), act=Act()), Identity()), add(seq(one=Conv(4)), Identity())
    svg = diagram(seq(stem=Conv(4), block=block, short=short, pool=GlobalPool(), fc=Dense(2)), (8, 8, 3))
    paths = re.findall('class="path"[^>]*>([^<]*)<', svg)
    assert paths == ["input", "stem", "block.conv", "block.act", "", "short.one", "", "pool", "fc"]
    assert re.findall('class="size"[^>]*>([^<]*)<', svg)[1] == "8x8x4"
    curved = [numbers for numbers in re.findall(r'class="arc" d="M[\d.]+,([\d.]+)C.*?([\d.]+)"', svg)]
    rows = [tuple(int(float(at)) // 22 for at in ends) for ends in curved]  # of 22 each
    assert rows == [(4, 6), (1, 4)] and svg.count("V") - len(rows) == 8  # shortcuts, and from each line to the next


def every_block() -> tuple[blocks.Block, ...]:
    image = picture(np.zeros((4, 4, 1), np.uint8), "a black image")
    shown = blocks.Gallery((blocks.Shown(image, ("one", "two"), "wrong"),), 40, "some")
    svg = curves([Line("a", [(0, 1), (1, 2)])], Axis("x"), Axis("y"), "a rises from 1 to 2")
    cells = ((blocks.MatrixCell(3, 1.0), blocks.MatrixCell(1, 0.2, "taken-0-1", "1 image of a taken for b")),
             (blocks.MatrixCell(0, 0.0), blocks.MatrixCell(2, 1.0)))  # fmt: skip
    row = ("a", blocks.Bar("3", 0.5), image, blocks.Drawing(histogram([1, 2], "two bins")))
    return (
        blocks.Text("<script>alert(1)</script>"), blocks.Text("a note", "note"), blocks.Text("a warning", "warning"),
        blocks.Heading("A part"), blocks.Facts((("term", "value"),)),
        blocks.Table("numbers", ("a", "b", "c", "d"), (row,), "<>><"), shown, blocks.Plot(svg, "caption"),
        blocks.Row((shown, blocks.Plot(svg))), blocks.Details("more", (blocks.Text("a"),)), blocks.Code("train --lr 1"),
        blocks.Download("a.csv", "data:text/csv;base64,YQ==", "a file"), blocks.Matrix("confusion", ("a", "b"), cells),
        blocks.Opened("taken-0-1", "a taken for b", (shown,)),
    )  # fmt: skip


@pytest.fixture
def small() -> str:
    """A page with every kind of block, of two runs in one section and one in the other."""
    head = Head("It is right.", [("accuracy", "99%", "98 to 100")])
    one, other = (blocks.Section("Confusion", lead, every_block()) for lead in ("first", "second"))
    whole = blocks.Section("All", "lead", every_block())
    placed = [page.Placed("confusion", "Confusion", (one, other)), page.Placed("all", "All", (whole,))]
    return page.filled(["a&b", "c"], [head, head], placed, "foot")


def test_every_block_has_a_macro_and_a_page_is_whole_offline_and_accessible(small: str):
    read = Page(small)
    assert read.outside() == [] and read.inaccessible() == []
    kinds = {kind.kind for kind in blocks.Block.__subclasses__()}
    assert kinds == {block.kind for block in every_block()}
    (policy,) = [meta["content"] for meta in read.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "<script" not in small and "alert(1)" in small and "a&amp;b" in small
    names = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert names == ["main", "confusion", "run1-taken-0-1", "run2-taken-0-1", "all", "taken-0-1"]
    links = [link["href"] for link in read.all("a") if "taken" in link["href"]]
    assert links == ["#run1-taken-0-1", "#run2-taken-0-1", "#taken-0-1"]  # each run's own images


@pytest.mark.parametrize(
    "fault, what",
    [
        ('<img src="http://host/a.png" alt="a">', "img src"), ("<script>1</script>", "<script>"),
        ('<p style="background:url(x)">a</p>', "p style"), ('<p onclick="a()">a</p>', "p onclick"),
        ('<a href="https://host">a</a>', "a href"),
    ],
)  # fmt: skip
def test_the_reader_of_pages_sees_what_would_be_fetched(small: str, fault: str, what: str):
    assert any(found.startswith(what) for found in Page(small.replace("</main>", fault + "</main>")).outside())


@pytest.mark.parametrize(
    "fault",
    [
        '<img src="data:," alt="">', "<h5>deep</h5>", '<a href="#nowhere">a</a>', "<svg></svg>", "<table></table>",
        "<div>", '<th scope="col"></th>', '<img alt="a"><figcaption><span>a</span></figcaption>',
    ],
)  # fmt: skip
def test_the_reader_of_pages_sees_what_is_not_accessible(small: str, fault: str):
    assert Page(small.replace("</main>", fault + "</main>")).inaccessible()


def palettes() -> dict[str, dict[str, str]]:
    css = (files("jaxcnn.report") / "page.css").read_text()
    found = [dict(re.findall(r"--([\w-]+):\s*([^;]+);", body)) for body in re.findall(r":root\s*{([^}]*)}", css)]
    light, dark, printed = found
    return {"light": light, "dark": light | dark, "print": light | printed}


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_letters_have_a_contrast_of_4_5_and_lines_of_3(name: str):
    colors = palettes()[name]
    for paper in "paper", "panel":
        for ink in "ink", "quiet", "link", "right", "wrong":
            assert contrast(colors[ink], colors[paper]) >= 4.5, f"{ink} on {paper}"
    assert contrast(colors["warning"], colors["warning-paper"]) >= 4.5
    shade = mixed(tuple(map(int, colors["shade"].split())), 0.62, colors["paper"])
    assert contrast(colors["ink"], shade) >= 4.5
    for line in "one", "two", "three", "four":
        assert contrast(colors[line], colors["paper"]) >= 3, line


def test_the_measure_of_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known gray that just fails


def test_without_jinja2_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(InputError, match=r"a report needs jinja2, .* pip install 'jaxcnn\[report\]'"):
        page.check_template()
