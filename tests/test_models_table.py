"""The table of networks: its figures are those of the specs, and the zoo's page shows it as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

import jaxcnn
from jaxcnn.commands.main import main
from jaxcnn.host.errors import InputError
from jaxcnn.readings.models_table import MARKERS, Known, as_csv, as_json, as_markdown, as_text, models_table
from jaxcnn.readings.models_table.chart import draw
from jaxcnn.zoo import NETWORKS, Entry

README = Path(__file__).parent.parent / "jaxcnn" / "zoo" / "README.md"
TABLE = models_table()
BY_NAME = {known.name: known for known in TABLE}


def test_every_network_is_in_the_table_by_year():
    assert sorted(BY_NAME) == jaxcnn.models() and len(TABLE) == len(BY_NAME)
    assert [known.year for known in TABLE] == sorted(known.year for known in TABLE)


@pytest.mark.parametrize("width", [20, 60, 80, 100, 120, 147, 148, 200])
def test_the_table_fits_the_terminal_and_leaves_out_the_last_columns(width):
    full, lines = as_text(TABLE).splitlines(), as_text(TABLE, width).splitlines()
    assert max(map(len, lines)) <= width
    for line, whole in zip(lines, full, strict=True):  # what is shown is what stands there, to the last digit
        assert whole.startswith(line.rstrip("…")) or set(line) <= {"-", " "}
    assert (lines == full) == (width >= max(map(len, full)))


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "mobilenet_v2"])
def test_parameters_and_operations_are_those_of_the_network(name):
    entry, known = NETWORKS[name], BY_NAME[name]
    assert known.parameters == jaxcnn.parameter_count(jaxcnn.abstract(entry.build(), entry.input)[0])
    assert known.macs == jaxcnn.macs(entry.build(), entry.input)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_said_of_a_network_can_be_so(name):
    known = BY_NAME[name]
    assert 1980 < known.year < 2030 and known.source
    assert known.peer in ("torchvision", "keras", "")
    if known.top1 is not None and known.top5 is not None:
        assert 50 < known.top1 < known.top5 < 100
    if known.peer:
        assert known.top1 is not None and known.top5 is not None, f"{known.peer} publishes weights of {name}"


def test_text_has_a_line_for_every_network():
    lines = as_text(TABLE).splitlines()
    assert len(lines) == len(TABLE) + 2
    (line,) = [line.split() for line in lines if line.startswith("resnet18 ")]
    assert line[:8] == ["resnet18", "2015", "11,689,512", "1,814,073,344", "224x224x3", "69.8", "89.1", "torchvision"]


def test_json_and_csv_hold_every_field():
    for written, row, known in zip(
        json.loads(as_json(TABLE)), csv.DictReader(io.StringIO(as_csv(TABLE))), TABLE, strict=True
    ):
        assert written == known._asdict() | {"input": list(known.input)}
        assert list(row) == list(Known._fields)
        assert (row["name"], int(row["parameters"]), int(row["macs"])) == (known.name, known.parameters, known.macs)
        assert row["input"] == "x".join(map(str, known.input))
        assert row["top1"] == ("" if known.top1 is None else str(known.top1))


def test_markdown_has_nine_cells_in_every_line():
    odd = Known("odd", 2000, "either|or", 1, 2, (3, 4, 5), None, 71.25, "", "odd")
    lines = as_markdown([*TABLE, odd]).splitlines()
    assert {line.count("|") for line in lines} == {10}
    assert lines[-1] == "| `odd` | 2000 | either/or | 1 | 2 | 3x4x5 |  | 71.2 |  |"


def test_the_readme_shows_the_table_as_it_is():
    before, after = map(re.escape, MARKERS)
    shown = re.search(f"{before}\n(.*?)\n{after}", README.read_text(), flags=re.S)
    assert shown, f"the README has no table between {MARKERS[0]} and {MARKERS[1]}"
    assert shown[1].strip() == as_markdown(TABLE), (
        "put what `jaxcnn models --markdown` prints into jaxcnn/zoo/README.md"
    )


def test_the_command_prints_every_format(capsys, monkeypatch):
    monkeypatch.setattr("jaxcnn.readings.models_table.models_table", lambda: TABLE)
    for options, start in ([], "name "), (["--json"], "["), (["--csv"], "name,year"), (["--markdown"], "| network |"):
        assert main(["models", *options]) == 0
        assert capsys.readouterr().out.startswith(start)
    with pytest.raises(SystemExit) as leaving:
        main(["models", "--json", "--chart", "chart.png"])
    assert leaving.value.code == 2


def test_the_chart_shows_every_network_whose_accuracy_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcnn.readings.models_table.models_table", lambda: TABLE)
    file = tmp_path / "chart.svg"
    assert main(["models", "--chart", str(file)]) == 0
    drawn = file.read_text()
    known = [one for one in TABLE if one.top1 is not None]
    assert len(known) > 30
    for one in known:
        assert f"<!-- {one.name} -->" in drawn  # matplotlib notes every text before its outlines


def test_no_name_in_the_chart_covers_another(tmp_path, monkeypatch):
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    named = []
    annotate = Axes.annotate
    monkeypatch.setattr(Axes, "annotate", lambda *given, **options: named.append(annotate(*given, **options)))
    draw(TABLE, tmp_path / "chart.png")
    boxes = {one.get_text(): Text.get_window_extent(one) for one in named}  # without their lines
    names = sorted(boxes)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            width = min(boxes[first].x1, boxes[second].x1) - max(boxes[first].x0, boxes[second].x0)
            height = min(boxes[first].y1, boxes[second].y1) - max(boxes[first].y0, boxes[second].y0)
            assert min(width, height) < 3, f"{first} and {second} lie on each other"  # pixels, of letters of 11


@pytest.mark.parametrize(
    ("file", "message"),
    [("chart.jpg", "a file of kind png, svg, pdf, not .*chart.jpg"), ("nowhere/chart.png", "no folder .*nowhere")],
)
def test_a_chart_that_cannot_be_written_is_an_error(tmp_path, file, message):
    with pytest.raises(InputError, match=message):
        draw(TABLE, tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_of_the_chart_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be written: Is a directory"):
        (tmp_path / "chart.png").mkdir()
        draw(TABLE, tmp_path / "chart.png")


def test_a_chart_of_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no network with a published accuracy"):
        draw(models_table({"mine": Entry(NETWORKS["lenet5"].build, (28, 28, 1), 2026, "mine")}), tmp_path / "chart.png")
