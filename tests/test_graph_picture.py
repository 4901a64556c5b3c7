"""The picture of a network is valid Graphviz text, and shows every layer and every connection."""

from __future__ import annotations

import graphlib
import re
from typing import NamedTuple

import pytest

import jaxcnn
from jaxcnn.readings.picture import described, dot
from jaxcnn.spec import Act, Conv, Dense, GlobalPool, Identity, Pool, Upsample, add, concat, mul, seq

TOKEN = re.compile(r'\s+|(->|[{}\[\];=,])|("(?:[^"\\]|\\.)*")|([A-Za-z_\x80-\xff][\w]*|-?(?:\.\d+|\d+(?:\.\d*)?))')


class Picture(NamedTuple):
    """What a text in Graphviz's language says: nodes with their labels, frames, edges."""

    nodes: dict[str, str]
    frames: dict[str, str]
    edges: list[tuple[str, str]]


def read(text: str) -> Picture:
    """Parse by the grammar of https://graphviz.org/doc/info/lang.html, as far as a directed graph needs it."""
    tokens, at = [], 0
    while at < len(text):
        found = TOKEN.match(text, at)
        assert found, f"no token of the language: {text[at : at + 40]!r}"
        tokens.extend(token for token in found.groups() if token)
        at = found.end()
    picture = Picture({}, {}, [])

    def take(expected: str | None = None) -> str:
        token = tokens.pop(0)
        assert expected is None or token == expected, f"{expected!r} expected, not {token!r}"
        return token

    def name() -> str:
        token = take()
        assert token[0] == '"' or re.fullmatch(r"[\w.-]+", token), f"{token!r} is not a name"
        return token[1:-1] if token[0] == '"' else token

    def attributes() -> dict[str, str]:
        take("[")
        found = {}
        while tokens[0] != "]":
            key = name()
            take("=")
            found[key] = name()
            if tokens[0] in ",;":
                take()
        take("]")
        return found

    def statements(frame: str) -> None:
        take("{")
        while tokens[0] != "}":
            if tokens[0] == "subgraph":
                take()
                statements(name())
                continue
            subject = name()
            if tokens[0] == "=":
                take()
                picture.frames[frame] = name()
            elif tokens[0] == "->":
                take()
                picture.edges.append((subject, name()))
            elif subject in ("graph", "node", "edge"):
                attributes()
            else:
                assert subject not in picture.nodes, f"{subject} is there twice"
                picture.nodes[subject] = attributes()["label"]
            take(";")
        take("}")

    take("digraph")
    name()
    statements("")
    assert not tokens
    return picture


BLOCK = add(seq(conv1=Conv(4), relu=Act(), conv2=Conv(4)), Identity(), then=Act())


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (jaxcnn.create("lenet5"), (28, 28, 1)),
        (seq(stem=Conv(4, 7, 2), layer1=seq(BLOCK, BLOCK), pool=GlobalPool(), fc=Dense(5)), (16, 16, 3)),
        (seq(mix=concat(a=Conv(2), b=seq(Pool("max", 3, 1, 1), Conv(3, 1))), gate=mul(Identity(), Act())), (8, 8, 3)),
        (Conv(3), (8, 8, 3)),
    ],
    ids=["plain", "residual", "branches", "one leaf"],
)  # fmt: skip
def test_the_picture_has_every_layer_once_and_no_loose_end(net, shape):
    picture = read(dot(net, shape))
    drawn = [label.split("\\n") for label in picture.nodes.values()]
    rows = [row for row in jaxcnn.walk(net, shape) if not isinstance(row.leaf, Identity)]
    shown = [label for label in drawn if len(label) > 1 and label[0] not in ("input", "output")]
    assert [label[-1] for label in shown] == ["x".join(map(str, row.layout.output)) for row in rows]
    assert [label[0] for label in shown if len(label) > 2] == [row.path for row in rows if row.path]
    assert {end for edge in picture.edges for end in edge} == set(picture.nodes)
    order = graphlib.TopologicalSorter({node: set() for node in picture.nodes})
    for source, target in picture.edges:
        order.add(target, source)
    first, *_, last = order.static_order()  # raises where the graph has a circle
    assert picture.nodes[first].startswith("input") and picture.nodes[last].startswith("output")


def test_a_shortcut_is_an_arrow_past_the_block():
    picture = read(dot(seq(stem=Conv(4), block=BLOCK), (8, 8, 4)))
    named = {node: label.split("\\n")[0] for node, label in picture.nodes.items()}
    arrows = [(named[source], named[target]) for source, target in picture.edges]
    assert ("stem", "+") in arrows and ("block.conv2", "+") in arrows and ("+", "block") in arrows
    assert picture.frames == {"cluster_2": "block"}


def test_merges_are_named():
    net = seq(a=mul(Act(), Act()), b=concat(Act(), Act()), c=add(Act(), Act()))
    labels = read(dot(net, (4, 4, 2))).nodes.values()
    assert [label for label in labels if "\\n" not in label] == ["*", "concat", "+"]


def test_a_name_with_quotes_and_backslashes_is_still_valid():
    net = seq(**{'odd "name" \\': Conv(2)})
    assert list(read(dot(net, (4, 4, 2))).nodes.values())[1].startswith('odd \\"name\\" \\\\\\n')


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (Conv(64, 7, 2, bias=True), "Conv 64, kernel 7, stride 2, bias"),
        (Conv(8, (1, 7), groups=4), "Conv 8, kernel 1x7, groups 4"),
        (Pool("max", 3, 2, 1), "Pool max, window 3, stride 2, padding 1"),
        (Act("gelu"), "gelu"),
        (Upsample(2), "Upsample scale 2"),
        (GlobalPool(), "GlobalPool"),
    ],
)
def test_a_layer_is_described_by_what_is_not_default(leaf, words):
    assert described(leaf) == words


def test_an_image_that_does_not_fit_names_the_layer():
    with pytest.raises(ValueError, match="does not fit") as raised:
        dot(seq(first=Conv(4, 5, padding=0)), (3, 3, 1))
    assert "'first'" in raised.value.__notes__[0]
