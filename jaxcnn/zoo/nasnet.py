"""NASNet-A (Zoph, Vasudevan, Shlens and Le 2018), as Keras has it and with its names.

A cell reads two values, the last one and the one before, from several of its branches each: so it is no graph of one
input but a run of nodes of the whole network.
"""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, Node, Pad, Pool, Spec, concat, seq

NORM = BatchNorm(0.9997, eps=1e-3, unbiased=False)
AVERAGE = Pool("avg", 3, 1, "same", count_include_pad=False)
HALF_AVERAGE = Pool("avg", 3, 2, "same")
# The windows stand as with "same", but the zeros around the image take part in the maximum. Two rings of zeros keep
# the windows where they were and add one outside on every side, which is cut off again.
HALF_MAXIMUM = seq(pad=Pad(2), pool=Pool("max", 3, 2, "same"), cut=Pad(-1))
POOLS = (AVERAGE, HALF_AVERAGE, HALF_MAXIMUM)

Sums = tuple[tuple[tuple[Spec, str], tuple[Spec, str]], ...]


def _separable(name: str, width: int, kernel: int, stride: int = 1) -> Graph:
    """ReLU, separable convolution and normalization, twice; the first time with the stride."""
    layers: dict[str, Spec] = {}
    for layer, step in (("separable_conv_1", stride), ("separable_conv_2", 1)):
        layers[f"{layer}_relu_{name}"] = Act()
        layers[f"{layer}_{name}"] = seq(
            depthwise=Conv(None, kernel, step, "same", groups=None), pointwise=Conv(width, 1)
        )
        layers[f"{layer}_bn_{name}"] = NORM
    return seq(**layers)


def _projected(relu: str, conv: str, norm: str, width: int) -> Graph:
    return seq(**{relu: Act(), conv: Conv(width, 1), norm: NORM})


def _halved(cell: str, width: int) -> Graph:
    """The even places beside the odd ones: half as many in each direction."""
    every_other, shift, half = Pool("avg", 1, 2), Pad(((-1, 1), (-1, 1))), Conv(width // 2, 1)
    even = {f"adjust_avg_pool_1_{cell}": every_other, f"adjust_conv_1_{cell}": half}
    odd = {f"adjust_shift_{cell}": shift, f"adjust_avg_pool_2_{cell}": every_other, f"adjust_conv_2_{cell}": half}
    return seq(**{
        f"adjust_relu_1_{cell}": Act(), "_halves": concat(seq(**even), seq(**odd)), f"adjust_bn_{cell}": NORM
    })  # fmt: skip


def _normal(cell: str, width: int) -> tuple[Sums, list[str]]:
    """Figure 4, left: the five sums of two operations on `h` or `p`, and what is put side by side."""

    def separable(side: str, kernel: int) -> Graph:
        return _separable(f"normal_{side}_{cell}", width, kernel)

    return (
        ((separable("left1", 5), "h"), (separable("right1", 3), "p")),
        ((separable("left2", 5), "p"), (separable("right2", 3), "p")),
        ((AVERAGE, "h"), (Identity(), "p")),
        ((AVERAGE, "p"), (AVERAGE, "p")),
        ((separable("left5", 3), "h"), (Identity(), "h")),
    ), ["p", "add_1", "add_2", "add_3", "add_4", "add_5"]


def _reduction(cell: str, width: int) -> tuple[Sums, list[str]]:
    """Figure 4, right: the operations on `h` and `p` halve the image."""

    def separable(side: str, kernel: int, stride: int = 2) -> Graph:
        return _separable(f"reduction_{side}_{cell}", width, kernel, stride)

    return (
        ((separable("left1", 5), "h"), (separable("right1", 7), "p")),
        ((HALF_MAXIMUM, "h"), (separable("right2", 7), "p")),
        ((HALF_AVERAGE, "h"), (separable("right3", 5), "p")),
        ((AVERAGE, "add_1"), (Identity(), "add_2")),
        ((separable("left4", 3, 1), "add_1"), (HALF_MAXIMUM, "h")),  # it is the fifth, but so Keras calls it
    ), ["add_2", "add_3", "add_4", "add_5"]


def _cell(kind: str, cell: str, x: str, p: str, width: int, adjusted: Spec) -> list[Node]:
    """The nodes of a cell: `p` adjusted to the image of `x`, `h` from `x`, the sums, and their concatenation."""
    sums, together = (_normal if kind == "normal" else _reduction)(cell, width)
    projected = _projected(f"{kind}_relu_1_{cell}", f"{kind}_conv_1_{cell}", f"{kind}_bn_1_{cell}", width)
    values = {"p": f"_p_{cell}", "h": f"_h_{cell}"}
    nodes = [Node(values["p"], adjusted, (p,)), Node(values["h"], projected, (x,))]
    for number, operands in enumerate(sums, 1):
        terms = []
        for side, (operation, source) in zip(("left", "right"), operands, strict=True):
            anonymous = "" if operation in POOLS else "_"
            terms.append(f"{anonymous}{kind}_{side}{number}_{cell}")
            nodes.append(Node(terms[-1], operation, (values[source],)))
        values[f"add_{number}"] = f"{kind}_add_{number}_{cell}"
        nodes.append(Node(values[f"add_{number}"], Identity(), tuple(terms)))
    return [*nodes, Node(f"{kind}_concat_{cell}", Identity(), tuple(values[name] for name in together), "concat")]


def _nasnet(classes: int, stem: int, width: int, repeats: int, skip_reduction: bool) -> Graph:
    """A stem of two reductions, then three runs of normal cells, each twice as wide as the one before."""
    cells = [("reduction", "stem_1", width // 4), ("reduction", "stem_2", width // 2)]
    for run in range(3):
        if run:
            cells.append(("reduction", f"reduce_{run * repeats}", width << run))
        first = run * repeats + min(run, 1)  # Keras numbers the later runs from one more
        cells += [("normal", str(number), width << run) for number in range(first, first + repeats)]

    nodes = [Node("stem_conv1", Conv(stem, 3, 2, 0)), Node("stem_bn1", NORM, ("stem_conv1",))]
    x = p = "stem_bn1"
    halvings = {x: 0}
    for kind, cell, channels in cells:
        if cell == "stem_1":
            adjusted = Identity()
        elif halvings[p] < halvings[x]:
            adjusted = _halved(cell, channels)
        else:
            adjusted = _projected(
                f"adjust_relu_{cell}", f"adjust_conv_projection_{cell}", f"adjust_bn_{cell}", channels
            )
        nodes += _cell(kind, cell, x, p, channels, adjusted)
        last = nodes[-1].name
        halvings[last] = halvings[x] + (kind == "reduction")
        x, p = last, p if skip_reduction and cell.startswith("reduce") else x
    top = {"relu": Act(), "avg_pool": GlobalPool(), "predictions": Dense(classes)}
    return Graph((*nodes, Node("_top", seq(**top), (x,))))


def nasnet_mobile(classes: int = 1000) -> Graph:
    """NASNet-A (4 @ 1056) for 224x224x3 (32x32 at least): 5,289,978 parameters."""
    return _nasnet(classes, stem=32, width=44, repeats=4, skip_reduction=False)


def nasnet_large(classes: int = 1000) -> Graph:
    """NASNet-A (6 @ 4032) for 331x331x3 (32x32 at least): 88,753,150 parameters.

    After a reduction, the first normal cell reads what came before the reduction's own input.
    """
    return _nasnet(classes, stem=96, width=168, repeats=6, skip_reduction=True)
