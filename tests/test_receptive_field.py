"""The receptive field is where the gradient arrives: computed from the spec, measured on the network."""

from __future__ import annotations

import math

import pytest
from gradient_support import compare, corners_and_middle

import jaxcnn
from jaxcnn.readings.receptive import Field
from jaxcnn.readings.receptive.box import boxes
from jaxcnn.spec import (
    Act,
    AdaptivePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    Node,
    Pad,
    Pool,
    Upsample,
    add,
    concat,
    mul,
    seq,
)

pytestmark = pytest.mark.usefixtures("float64")  # as gradient_support wants it


# EE 541 unit 8.

STEM = seq(Conv(64, 7, 2, 3), BatchNorm(), Act(), Pool("max", 3, 2, 1))


def test_the_table_of_the_lecture():
    sizes = [row.layout.output[:2] for row in jaxcnn.walk(STEM, (256, 256, 3))]
    assert sizes == [(128, 128), (128, 128), (128, 128), (64, 64)]
    for axis in (0, 1):
        fields = jaxcnn.receptive_field(STEM, (256, 256, 3), axis=axis)
        assert [field.start for field in fields.values()] == [0.5, 0.5, 0.5, 0.5]
        assert [field.jump for field in fields.values()] == [2, 2, 2, 4]
        assert [field.size for field in fields.values()] == [7, 7, 7, 11]


def test_the_unit_of_the_lecture():
    """It prints the box of unit (1, 1) of its layer 2, counting the image as layer 0; its code says (2, 2)."""
    assert jaxcnn.receptive_field(STEM, (256, 256, 3), "1", (1, 1)) == [(0, 6), (0, 6)]
    assert jaxcnn.receptive_field(STEM, (256, 256, 3), "1", (2, 2)) == [(1, 8), (1, 8)]


# One network for every structure.


def residual(width: int, stride: int = 1) -> Graph:
    shortcut = seq(Conv(width, 1, stride)) if stride > 1 else Identity()
    return add(seq(conv1=Conv(width, 3, stride), act=Act(), conv2=Conv(width)), down=shortcut, then=Act())


GATE = seq(squeeze=GlobalPool(keepdims=True), fc=Conv(3, 1))
STRUCTURES = {
    "plain": (seq(Conv(3, 5, 2), Act(), Conv(3, (1, 3), padding="valid"), out=Pool("max", 3, 2, 1)), "out"),
    "residual": (seq(stem=Conv(3), block1=residual(3), block2=residual(4, 2), block3=residual(4)), "block3"),
    "a shortcut that sees more": (seq(block=add(Conv(3, 1, 2), down=Conv(3, 5, 2), then=Act())), "block"),
    "concatenation": (
        seq(Conv(3), mix=concat(a=Conv(2, (1, 7)), b=Conv(2, (5, 1)), c=seq(Pool("avg", 3, 1, 1))), last=Conv(3)),
        "last",
    ),
    "dilation": (seq(Conv(3, 3, 1, 2, 2), Conv(3, 3, 1, "half", (4, 1)), last=Pool("max", 2, 2, 0, 3)), "last"),
    "TensorFlow's padding": (seq(Conv(3, 3, 2, "same"), Conv(3, 4, 1, "same"), last=Pool("avg", 3, 2, "same")), "last"),
    "causal padding": (seq(Conv(3, 3, 1, "causal"), last=Conv(3, 2, 1, ((0, 3), (1, 0)))), "last"),
    "padding mode": (
        seq(Conv(3, 5, padding=((4, 0), (1, 3)), padding_mode="reflect"), last=Conv(3, 3, 2, padding_mode="replicate")),
        "last",
    ),
    "circular padding": (seq(last=Conv(3, 5, padding_mode="circular")), "last"),
    "ceil mode": (seq(Conv(3, 3, 2), last=Pool("max", 3, 2, ceil_mode=True)), "last"),
    "padding and cutting": (
        seq(Pad(((3, 0), (-2, -3))), conv=Conv(3, 3, 2), last=Pad(((1, -1), (-1, 2)))),
        "last",
    ),
    "upsampling": (seq(Pool("avg", 2), up=Upsample((2, 3)), conv=Conv(3)), "conv"),
    "linear upsampling": (seq(Conv(3, 3, 2), up=Upsample((2, 3), "bilinear")), "up"),
    "aligned upsampling": (seq(Pool("avg", 4), up=Upsample(3, "bilinear", True)), "up"),
    "transposed convolution": (seq(Conv(3, 3, 2), up=ConvTranspose(3, 3, 2, 1, 1), out=ConvTranspose(2, 2, 3)), "out"),
    "dilated transposed convolution": (seq(up=ConvTranspose(3, 3, 2, "same", dilation=2)), "up"),
    "adaptive pooling": (seq(Conv(3), bins=AdaptivePool((5, None)), last=Conv(3, 2, padding=0)), "last"),
    "gate": (seq(conv=Conv(3), gated=mul(Identity(), GATE), last=Conv(2)), "last"),
    "before the gate": (seq(conv=Conv(3), gated=mul(Identity(), GATE), last=Conv(2)), "conv"),
    "classifier": (seq(conv=Conv(3), pool=GlobalPool(), fc=Dense(4)), "conv"),
    "U": (
        Graph(
            (
                Node("down1", Conv(3)),
                Node("down2", seq(Pool("max", 2), Conv(3)), ("down1",)),
                Node("up", Upsample(2), ("down2",)),
                Node("out", Conv(2), ("up", "down1"), "concat"),
            )
        ),
        "out",
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_box_is_exactly_where_the_gradient_arrives(name):
    net, path = STRUCTURES[name]
    compare(net, (24, 18, 2), path, corners_and_middle(net, (24, 18, 2), path))


@pytest.mark.parametrize("shape", [(37, 2), (9, 8, 10, 2)], ids=["one dimension", "three dimensions"])
def test_boxes_in_other_dimensions(shape):
    net = seq(Conv(3, 3, 2, "same"), Pool("max", 2, 1), last=Conv(2))
    compare(net, shape, "last", corners_and_middle(net, shape, "last"))


UNITS_DIFFER = ("adaptive", "upsampling", "transposed", "U", "circular")


@pytest.mark.parametrize("name", [name for name in STRUCTURES if not any(word in name for word in UNITS_DIFFER)])
def test_the_table_is_of_the_inner_units(name):
    """Away from the border a unit's box has the size of the table, at the place that start and jump say."""
    net, path = STRUCTURES[name]
    shape = (101, 90, 2)
    seen = boxes(net, shape)[path]
    for axis, along in enumerate(seen):
        field, unit = jaxcnn.receptive_field(net, shape, axis=axis)[path], len(along) // 2
        expected = (0, shape[axis]) if math.isinf(field.size) else field.interval(unit)
        assert tuple(along[unit]) == expected


# What the figures are.


def test_where_branches_meet_the_field_is_their_union_in_each_dimension():
    net = seq(mix=concat(a=Conv(2, (3, 7), 1, ((0, 2), (3, 3))), b=Conv(2, 3, 1, ((2, 0), (1, 1)))))
    assert jaxcnn.receptive_field(net, (9, 9, 1))["mix"] == Field(5, 1, 0.5)  # two rows above, two below
    assert jaxcnn.receptive_field(net, (9, 9, 1), axis=1)["mix"] == Field(7, 1, 0.5)


def test_after_global_pooling_the_field_is_the_whole_image():
    net = seq(conv=Conv(3, 3, 2), pool=GlobalPool(), fc=Dense(2))
    assert jaxcnn.receptive_field(net, (8, 6, 1))["pool"] == Field(math.inf, 0, 3.5)
    assert jaxcnn.receptive_field(net, (8, 6, 1), "fc", ()) == [(0, 8), (0, 6)]
    with pytest.raises(ValueError, match="the whole image, whatever its size"):
        jaxcnn.receptive_field(net, (8, 6, 1))["pool"].interval(0)


def test_after_flatten_a_vector_counts_as_a_whole():
    net = seq(cut=Pad(-1), flatten=Flatten(), fc=Dense(2))
    assert jaxcnn.receptive_field(net, (8, 6, 1), "fc", ()) == [(1, 7), (1, 5)]


def test_a_unit_that_sees_only_padding_has_an_empty_box():
    net = seq(pad=Pad(3), conv=Conv(1, 1))
    assert jaxcnn.receptive_field(net, (4, 4, 1), "conv", (3, 1)) == [(0, 0), (0, 0)]
    assert jaxcnn.receptive_field(net, (4, 4, 1), "conv", (3, 4)) == [(0, 1), (1, 2)]


def test_the_empty_path_is_the_output():
    assert jaxcnn.receptive_field(Conv(1, 3), (4, 4, 1), "", (0, 3)) == [(0, 2), (2, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("conv2", (0, 0)), "no layer is called 'conv2'; did you mean 'conv'"),
        (("zzz", (0, 0)), "no layer is called 'zzz'; there are: conv, pool"),
        (("conv", (4, 0)), r"a unit of layer 'conv' is a place in a grid of \(4, 6\), counted from 0, not \(4, 0\)"),
        (("conv", (-1, 0)), r"not \(-1, 0\)"),
        (("conv", (1,)), r"not \(1,\)"),
        (("conv", ()), r"not \(\)"),
        (("conv", None), "not None"),
    ],
)
def test_a_unit_that_does_not_exist_is_an_error(arguments, message):
    net = seq(conv=Conv(2), pool=GlobalPool())
    with pytest.raises(ValueError, match=message):
        jaxcnn.receptive_field(net, (4, 6, 1), *arguments)


def test_an_axis_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="no axis 2 in images of 2 spatial dimensions"):
        jaxcnn.receptive_field(STEM, (32, 32, 3), axis=2)
