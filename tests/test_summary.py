"""The summary says what a network has and costs, in figures that the network itself confirms."""

from __future__ import annotations

import csv
import io
import json
import math
from functools import partial

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from jaxcnn.commands.main import main
from jaxcnn.readings.cost import layers, totals
from jaxcnn.readings.receptive.places import places_read
from jaxcnn.readings.summary import summary_csv, summary_json
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, GlobalPool, Identity, Pool, add, concat, mul, seq
from jaxcnn.zoo import NETWORKS

GATED = seq(
    conv=Conv(4, (1, 7)), bn=BatchNorm(), block=add(Conv(4, 1), Identity(), then=Act()),
    both=concat(a=Conv(2), b=Conv(2)), gate=mul(Identity(), seq(pool=GlobalPool(keepdims=True), fc=Conv(4, 1))),
    flatten=Flatten(), fc=Dense(3),
)  # fmt: skip
SHAPE = (6, 9, 2)


def cells(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell]


def lines() -> dict[str, list[str]]:
    return {words[0]: words for line in jaxcnn.summary(GATED, SHAPE).splitlines() if (words := line.split())}


def test_a_row_tells_path_kind_output_parameters_operations_field_and_memory():
    assert lines()["conv"] == ["conv", "Conv", "6x9x4", "56", "3,024", "1x7", "1", "0.5", "864"]
    assert lines()["bn"] == ["bn", "BatchNorm", "6x9x4", "8", "1x7", "1", "0.5", "864"]
    assert lines()["both.a"] == ["both.a", "Conv", "6x9x2", "72", "3,888", "3x9", "1", "0.5", "432"]


def test_the_whole_image_is_called_all():
    assert lines()["gate.pool"] == ["gate.pool", "GlobalPool", "1x1x4", "all", "0", "3x4.5", "16"]


def test_a_vector_has_no_field_and_what_is_handed_on_takes_no_memory():
    assert lines()["flatten"] == ["flatten", "Flatten", "216"]
    assert lines()["fc"] == ["fc", "Dense", "3", "651", "648", "12"]


def test_every_part_of_a_block_has_its_own_field():
    kinds = [(layer.kind, layer.fields[0].size) for layer in layers(add(Conv(4, 5), Identity(), then=Act()), (8, 8, 4))]
    assert kinds == [("Conv", 5), ("Identity", 1), ("Act", 5)]


def test_what_is_merged_takes_memory_even_where_nothing_is_done_to_it():
    table = {layer.path: layer for layer in layers(seq(both=concat(a=Conv(2), b=Conv(3))), (5, 5, 1))}
    assert (table["both.a"].memory, table["both"].kind, table["both"].memory) == (4 * 50, "Identity", 4 * 125)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_totals_are_those_of_the_network(name):
    entry = NETWORKS[name]
    net = entry.build()
    total = totals(layers(net, entry.input))
    rows = jaxcnn.walk(net, entry.input)
    sizes = [[math.prod(p.shape) for p in tree.values()] for row in rows for tree in row.layout[1:]]
    assert total["parameters"] + total["statistics"] == sum(map(sum, sizes))
    assert total["macs"] == jaxcnn.macs(net, entry.input)
    assert 0 < total["memory"] <= 4 * sum(math.prod(row.layout.output) for row in rows)


def test_the_memory_of_lenet5_is_what_its_activations_take():
    net = jaxcnn.create("lenet5")
    trees = jaxcnn.abstract(net, (28, 28, 1))
    activations = jax.eval_shape(partial(jaxcnn.forward, net), *trees, jnp.zeros((1, 28, 28, 1))).activations
    total = totals(layers(net, (28, 28, 1)))["memory"]
    assert total == sum(4 * array.size for path, array in activations.items() if path != "flatten")
    assert f"activations {total:,} bytes per image in float32" in jaxcnn.summary(net, (28, 28, 1))


def test_json_and_csv_hold_the_same_figures():
    read = json.loads(summary_json(GATED, SHAPE))
    rows = list(csv.DictReader(io.StringIO(summary_csv(GATED, SHAPE))))
    table = layers(GATED, SHAPE)
    assert read["input"] == list(SHAPE) and read["totals"] == totals(table)
    for layer, ours, theirs in zip(table, read["layers"], rows, strict=True):
        assert (layer.path, layer.kind) == (ours["path"], ours["kind"]) == (theirs["path"], theirs["kind"])
        assert list(layer.output) == ours["output"] == [int(n) for n in theirs["output"].split("x")]
        for name in ("parameters", "statistics", "macs", "memory"):
            assert getattr(layer, name) == ours[name] == int(theirs[name])
        for axis, direction in enumerate(("height", "width")[: len(layer.fields)]):
            size, jump, start = layer.fields[axis]
            assert ours["size"][axis] == (None if math.isinf(size) else size)
            assert [size, jump, start] == [float(theirs[f"{each}_{direction}"]) for each in layer.fields[axis]._fields]
            assert (jump, start) == (ours["jump"][axis], ours["start"][axis])
        if not layer.fields:
            assert ours["size"] == [] and theirs["size_height"] == ""


def test_a_vector_and_other_dimensions_are_summarized():
    assert "parameters 40" in jaxcnn.summary(Dense(5), (7,))
    assert summary_csv(Dense(5), (7,)).splitlines()[0].endswith("memory")
    assert summary_csv(Conv(5), (9, 2)).splitlines()[0].endswith("size_width,jump_width,start_width")
    assert "3  " in jaxcnn.summary(Conv(5), (4, 5, 6, 2))


def test_the_command_prints_every_format(capsys):
    for option, start in {"--json": "{", "--csv": "path,kind", "--dot": "digraph"}.items():
        assert main(["summary", "lenet5", "--input", "32", "32", "1", option]) == 0
        assert capsys.readouterr().out.startswith(start)
    with pytest.raises(SystemExit) as leaving:
        main(["summary", "lenet5", "--json", "--csv"])
    assert leaving.value.code == 2


# Multiply-accumulates and XLA's own count of floating-point operations.


def xla_operations(net, shape) -> float:
    arguments = *jaxcnn.abstract(net, shape), jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    cost = jax.jit(lambda *given: jaxcnn.apply(net, *given)[0]).lower(*arguments).cost_analysis()
    assert cost is not None
    return cost["flops"]


def products_with_padding(net, shape) -> int:
    """How many of a network's multiply-accumulates meet a zero that padding has put there."""
    total = 0
    for row in jaxcnn.walk(net, shape):
        if isinstance(row.leaf, Conv):
            *window, inputs, width = row.layout.params["kernel"].shape
            read = [places_read(row.leaf, row.input, axis) for axis in range(len(window))]
            met = math.prod(int((places >= 0).sum()) for places in read if places is not None)
            total += (math.prod(row.layout.output[:-1]) * math.prod(window) - met) * inputs * width
    return total


def test_without_padding_xla_counts_two_operations_per_multiply_accumulate(by_xla):
    net, shape = seq(Conv(8, 3, 2, "valid"), flatten=Flatten(), fc=Dense(5, bias=False)), (9, 9, 3)
    assert products_with_padding(net, shape) == 0
    assert xla_operations(net, shape) == 2 * jaxcnn.macs(net, shape)


@pytest.mark.parametrize(
    ("name", "shape"), [("cifar_cnn", (32, 32, 3)), ("resnet18", (64, 64, 3)), ("mlp", (28, 28, 1))]
)
def test_multiply_accumulates_agree_with_xla_within_what_is_not_counted(by_xla, name, shape):
    """XLA leaves out products with padding, which papers count. It counts biases, normalization, activations, pooling.

    Those are few for every number that a layer puts out: an addition, a comparison, a division, four comparisons or
    additions of a small window. Here they are 3 at most on average.
    """
    net = jaxcnn.create(name)
    products = 2 * (jaxcnn.macs(net, shape) - products_with_padding(net, shape))
    outputs = sum(math.prod(row.layout.output) for row in jaxcnn.walk(net, shape))
    assert products <= xla_operations(net, shape) <= products + 3 * outputs
    assert 3 * outputs < 0.05 * products  # so that a layer forgotten or counted twice is seen


def test_pooling_and_activations_are_not_multiply_accumulates():
    assert jaxcnn.macs(seq(Pool("avg", 2), Act(), BatchNorm(), GlobalPool()), (8, 8, 3)) == 0


def test_in_a_terminal_no_line_is_longer_than_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["summary", "resnet18"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) > 80  # into a file: all of it
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["summary", "resnet18"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and lines[0].split() == ["layer", "kind", "output", "parameters", "MACs", "field"]


def test_the_command_takes_the_variant(capsys: pytest.CaptureFixture[str]):
    counts = []
    for variant in [], ["--variant", "keras"]:  # Keras's convolutions have biases before BatchNorm
        assert main(["summary", "resnet50", "--json", "--classes", "7", *variant]) == 0
        counts.append(sum(layer["parameters"] for layer in json.loads(capsys.readouterr().out)["layers"]))
    keras = jaxcnn.create("resnet50", classes=7, variant="keras")
    assert counts[1] == totals(layers(keras, (224, 224, 3)))["parameters"] == counts[0] + 26_560
