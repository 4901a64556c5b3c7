"""Inception-v3 (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016), with torchvision's names, as it or Keras has it."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Graph, Node, Padding, Pool, Size, concat, seq
from jaxcnn.zoo.options import check_choice

HALVE = Pool("max", 3, 2)


class Unit(Protocol):
    """A convolution, a normalization and a ReLU."""

    def __call__(self, width: int, kernel: Size = 1, stride: Size = 1, padding: Padding = "half") -> Graph: ...


def _unit(norm: BatchNorm, width: int, kernel: Size = 1, stride: Size = 1, padding: Padding = "half") -> Graph:
    return seq(conv=Conv(width, kernel, stride, padding), bn=norm, relu=Act())


def _module_a(unit: Unit, average: Pool, pooled: int) -> Graph:
    """Figure 5: the 5x5 beside two 3x3 and a pool."""
    return concat(
        seq(branch1x1=unit(64)),
        seq(branch5x5_1=unit(48), branch5x5_2=unit(64, 5)),
        seq(branch3x3dbl_1=unit(64), branch3x3dbl_2=unit(96, 3), branch3x3dbl_3=unit(96, 3)),
        seq(pool=average, branch_pool=unit(pooled)),
    )


def _reduction_b(unit: Unit) -> Graph:
    return concat(
        seq(branch3x3=unit(384, 3, 2, 0)),
        seq(branch3x3dbl_1=unit(64), branch3x3dbl_2=unit(96, 3), branch3x3dbl_3=unit(96, 3, 2, 0)),
        seq(pool=HALVE),
    )


def _module_c(unit: Unit, average: Pool, narrow: int) -> Graph:
    """Figure 6: 7x7 as 1x7 and 7x1."""
    return concat(
        seq(branch1x1=unit(192)),
        seq(branch7x7_1=unit(narrow), branch7x7_2=unit(narrow, (1, 7)), branch7x7_3=unit(192, (7, 1))),
        seq(
            branch7x7dbl_1=unit(narrow), branch7x7dbl_2=unit(narrow, (7, 1)), branch7x7dbl_3=unit(narrow, (1, 7)),
            branch7x7dbl_4=unit(narrow, (7, 1)), branch7x7dbl_5=unit(192, (1, 7)),
        ),
        seq(pool=average, branch_pool=unit(192)),
    )  # fmt: skip


def _reduction_d(unit: Unit) -> Graph:
    return concat(
        seq(branch3x3_1=unit(192), branch3x3_2=unit(320, 3, 2, 0)),
        seq(
            branch7x7x3_1=unit(192), branch7x7x3_2=unit(192, (1, 7)), branch7x7x3_3=unit(192, (7, 1)),
            branch7x7x3_4=unit(192, 3, 2, 0),
        ),
        seq(pool=HALVE),
    )  # fmt: skip


def _module_e(unit: Unit, average: Pool) -> Graph:
    """Figure 7: the last 3x3 of a branch is a 1x3 beside a 3x1."""
    wide, tall = unit(384, (1, 3)), unit(384, (3, 1))
    return concat(
        seq(branch1x1=unit(320)),
        seq(branch3x3_1=unit(384), _ends=concat(branch3x3_2a=wide, branch3x3_2b=tall)),
        seq(
            branch3x3dbl_1=unit(448), branch3x3dbl_2=unit(384, 3),
            _ends=concat(branch3x3dbl_3a=wide, branch3x3dbl_3b=tall),
        ),
        seq(pool=average, branch_pool=unit(192)),
    )  # fmt: skip


def _auxiliary(unit: Unit, classes: int) -> Graph:
    return seq(
        pool=Pool("avg", 5, 3), conv0=unit(128), conv1=unit(768, 5, 1, 0), avgpool=GlobalPool(), fc=Dense(classes)
    )


def inception_v3(classes: int = 1000, aux: bool = False, variant: str = "torchvision") -> Graph:
    """For 299x299x3 (75x75 at least; 299x299 with `aux`): 23,834,568 parameters, with the auxiliary head 27,161,264.

    `aux` adds the head `AuxLogits`, logits over the same classes. `variant="keras"` normalizes without a scale, leaves
    padding out of the averages and has no dropout. torchvision's published weights want pixels in [-1, 1].
    Raises ValueError for another variant.
    """
    check_choice("variant", variant, "torchvision", "keras")
    keras = variant == "keras"
    norm = BatchNorm(0.99, eps=1e-3, scale=False, unbiased=False) if keras else BatchNorm(eps=1e-3)
    average = Pool("avg", 3, 1, 1, count_include_pad=not keras)
    unit: Unit = partial(_unit, norm)
    body = {
        "Conv2d_1a_3x3": unit(32, 3, 2, 0), "Conv2d_2a_3x3": unit(32, 3, 1, 0), "Conv2d_2b_3x3": unit(64, 3),
        "maxpool1": HALVE,
        "Conv2d_3b_1x1": unit(80), "Conv2d_4a_3x3": unit(192, 3, 1, 0),
        "maxpool2": HALVE,
        "Mixed_5b": _module_a(unit, average, 32), "Mixed_5c": _module_a(unit, average, 64),
        "Mixed_5d": _module_a(unit, average, 64), "Mixed_6a": _reduction_b(unit),
        "Mixed_6b": _module_c(unit, average, 128), "Mixed_6c": _module_c(unit, average, 160),
        "Mixed_6d": _module_c(unit, average, 160), "Mixed_6e": _module_c(unit, average, 192),
        "Mixed_7a": _reduction_d(unit), "Mixed_7b": _module_e(unit, average), "Mixed_7c": _module_e(unit, average),
        "avgpool": GlobalPool(), "dropout": Dropout(0.0 if keras else 0.5), "fc": Dense(classes),
    }  # fmt: skip
    nodes = list(seq(**body).nodes)
    if aux:
        nodes.insert(list(body).index("Mixed_7a"), Node("AuxLogits", _auxiliary(unit, classes), ("Mixed_6e",)))
    return Graph(tuple(nodes))
