"""For one network of every family of the zoo, the box of a unit is exactly where its gradient arrives."""

from __future__ import annotations

import math

import pytest
from families import small_image, smallest_of_each_family
from gradient_support import compare, corners_and_middle

from jaxcnn.readings.receptive.box import boxes
from jaxcnn.spec import Spec
from jaxcnn.zoo import NETWORKS

pytestmark = pytest.mark.usefixtures("float64")  # as gradient_support wants it

# What takes no more than two or three seconds here, most of it to compile, runs by default.
QUICK = {
    "lenet", "alexnet", "alphago", "deck", "resnet", "resnet_cifar", "resnet_v2", "mobilenet_v3", "efficientnet",
    "regnet",
}  # fmt: skip


def sees_most_of_the_image(net: Spec, shape: tuple[int, ...]) -> str:
    """The layer whose middle unit sees the most pixels, but not a whole row or column: there, nothing is cut off."""
    areas = {}
    for path, along in boxes(net, shape).items():
        sides = [int(end - first) for first, end in (each[len(each) // 2] for each in along)]
        if path and len(along[0]) > 1 and all(0 < side < n for side, n in zip(sides, shape, strict=False)):
            areas[path] = math.prod(sides)
    return max(reversed(areas), key=lambda path: areas[path])  # of equals the last, where branches have met


@pytest.mark.every(2)
@pytest.mark.parametrize(
    "family",
    [pytest.param(family, marks=[] if family in QUICK else [pytest.mark.slow]) for family in smallest_of_each_family()],
)
def test_the_box_is_exactly_where_the_gradient_arrives(family):
    entry = NETWORKS[smallest_of_each_family()[family]]
    net = entry.build()
    shape = small_image(net, entry)
    path = sees_most_of_the_image(net, shape)
    compare(net, shape, path, corners_and_middle(net, shape, path))
