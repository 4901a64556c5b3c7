"""Specs from specs: what a rewriting changes, what it leaves alone, and that its networks compute the same."""

from __future__ import annotations

from dataclasses import replace as changed

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import rewrite
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Bias,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    LayerNorm,
    Leaf,
    Node,
    Pool,
    RadialBasis,
    Spec,
    add,
    concat,
    seq,
)

SHAPE = (8, 8, 3)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, *SHAPE)), jnp.float32)


def block(width: int) -> Graph:
    body = seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), conv2=Conv(width), bn2=BatchNorm())
    return add(body, downsample=seq(Conv(width, 1), BatchNorm()), then=Act())


NET = seq(
    stem=seq(conv=Conv(4), bn=BatchNorm(), act=Act()),
    layer1=seq(block(4), block(6)),
    mixed=concat(side=Conv(3, 1), wide=seq(conv=Conv(5), bn=BatchNorm(), act=Act()), then=BatchNorm()),
    pool=GlobalPool(),
    drop=Dropout(0.3),
    fc=Dense(7),
)


def drawn(net: Spec, shape: tuple[int, ...] = SHAPE):
    """Parameters and statistics that are neither zero nor one, so that forgetting any of them shows."""
    rng = np.random.default_rng(1)

    def kernel(leaf):
        scale = (2 / np.prod(leaf.shape[:-1])) ** 0.5 if len(leaf.shape) > 1 else 0.3
        centre = 0 if len(leaf.shape) > 1 else 0.5
        return jnp.asarray(centre + scale * rng.normal(size=leaf.shape), leaf.dtype)

    params, stats = jaxcnn.abstract(net, shape)
    return jax.tree.map(kernel, params), jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.3, 2.0, leaf.shape), leaf.dtype), stats
    )


def output(net: Spec, params, stats, x=X, **options):
    return jaxcnn.apply(net, params, stats, x, **options)[0]


def kinds(net: Spec, shape: tuple[int, ...] = SHAPE) -> dict[str, str]:
    return {row.path: type(row.leaf).__name__ for row in jaxcnn.walk(net, shape)}


# map_leaves


def test_mapping_every_leaf_to_itself_is_the_same_network():
    assert rewrite.map_leaves(NET, lambda path, leaf: leaf) == NET


def test_a_leaf_is_told_its_path_and_may_become_a_graph():
    def leaky(path: str, leaf: Leaf) -> Spec:
        return seq(slow=Act("tanh"), fast=Act()) if path == "stem.act" else leaf

    net = rewrite.map_leaves(NET, leaky)
    assert net != NET
    params, stats = drawn(NET)
    before = jaxcnn.features(NET, params, stats, X, ["stem.bn"])["stem.bn"]
    after = jaxcnn.features(net, params, stats, X, ["stem.act.*"])
    np.testing.assert_array_equal(after["stem.act.fast"], jnp.maximum(jnp.tanh(before), 0))


def test_a_leaf_that_becomes_something_else_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"layer 'stem\.act' cannot become 'relu': it must be a layer or a graph"):
        rewrite.map_leaves(NET, lambda path, leaf: "relu" if path == "stem.act" else leaf)  # type: ignore[return-value]


def test_two_layers_that_come_to_share_a_path_are_an_error():
    net = add(Act(), Act("tanh"))
    with pytest.raises(ValueError, match="share the path ''"):
        rewrite.map_leaves(net, lambda path, leaf: Conv(3) if leaf == Act() or leaf == Act("tanh") else leaf)


# replace


def test_a_layer_or_a_whole_part_is_replaced_and_the_rest_is_left():
    assert rewrite.replace(NET, "fc", Dense(9)) == Graph((*NET.nodes[:-1], changed(NET.nodes[-1], spec=Dense(9))))
    net = rewrite.replace(NET, "layer1.1.downsample", Conv(6, 1))
    assert set(kinds(NET)) - set(kinds(net)) == {"layer1.1.downsample.0", "layer1.1.downsample.1"}
    assert kinds(net)["layer1.1.downsample"] == "Conv"
    assert rewrite.replace(net, "layer1.1.downsample", seq(Conv(6, 1), BatchNorm())) == NET


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layer1.0.conv3", r"nothing is called 'layer1\.0\.conv3'; did you mean 'layer1\.0\.conv2'\?"),
        ("", r"nothing is called ''; there are: stem, layer1, mixed, pool, drop, fc and what is in them"),
    ],
)
@pytest.mark.parametrize("edit", [lambda net, path: rewrite.replace(net, path, Act()), rewrite.cut])
def test_a_path_that_does_not_exist_is_an_error_that_says_what_does(edit, path: str, message: str):
    with pytest.raises(ValueError, match=message):
        edit(NET, path)


def test_what_is_no_spec_replaces_nothing():
    with pytest.raises(ValueError, match="layer 'fc' cannot become 3: it must be a layer or a graph"):
        rewrite.replace(seq(fc=Dense(3)), "fc", 3)  # pyright: ignore[reportArgumentType]


# cut


@pytest.mark.parametrize("path", jaxcnn.forward(NET, *drawn(NET), X).activations)
def test_a_cut_network_gives_the_activation_at_its_path_and_needs_no_more_than_that(path: str):
    params, stats = drawn(NET)
    net = rewrite.cut(NET, path)
    run = jaxcnn.forward(net, params, stats, X)
    np.testing.assert_array_equal(run.output, jaxcnn.features(NET, params, stats, X, [path])[path])
    assert {**params, **jaxcnn.abstract(net, SHAPE)[0]}.keys() == params.keys()


def test_what_nobody_needs_any_more_is_dropped_auxiliary_heads_inside_too():
    inner = Graph((Node("a", Conv(4)), Node("aux", Conv(2)), Node("b", Act(), ("a",))))
    net = Graph((Node("left", inner), Node("right", Conv(4)), Node("out", Identity(), ("left", "right"))))
    assert list(kinds(rewrite.cut(net, "out"))) == ["left.a", "left.b", "right", "out"]
    assert list(kinds(rewrite.cut(net, "left"))) == ["left.a", "left.b"]
    assert list(kinds(rewrite.cut(net, "right"))) == ["right"]
    assert list(kinds(rewrite.cut(net, "left.aux"))) == ["left.aux"]


# heads


@pytest.mark.parametrize(
    ("net", "path"),
    [
        (NET, "fc"),
        (seq(classifier=seq(Dropout(0.5), Conv(10, 1, bias=True), Act(), GlobalPool())), "classifier.1"),
        (seq(conv=Conv(8), pool=GlobalPool(keepdims=True), fc=Conv(5, (1, 1)), flatten=Flatten()), "fc"),
        (seq(pool=GlobalPool(), fc=Dense(84), output=RadialBasis(10)), "output"),
        (seq(pool=GlobalPool(), fc=Dense(4), softmax=Act("softmax"), then=Identity()), "fc"),
        (
            Graph((Node("pool", GlobalPool()), Node("fc", Dense(6), ("pool",)), Node("aux", Dense(3), ("pool",)),
                   Node("_out", Identity(), ("fc",)))),
            "fc",
        ),
    ],
)  # fmt: skip
def test_the_head_is_the_last_layer_that_makes_channels(net: Spec, path: str):
    assert rewrite.head(net) == path
    other = rewrite.replace_head(net, 23)
    assert jaxcnn.output_shape(other, SHAPE) == (23,)
    before, after = (jaxcnn.abstract(each, SHAPE) for each in (net, other))
    for old, new in zip(before, after, strict=True):
        assert {p: layer for p, layer in old.items() if p != path} == {p: new[p] for p in new if p != path}


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (seq(conv=Conv(8), pool=GlobalPool()), "no 1x1 convolution ends this network: at 'conv' is Conv"),
        (seq(fc=Conv(1, 1), bias=Bias(per_place=True), flat=Flatten()), "at 'bias' is Bias"),
        (seq(body=add(Dense(3), side=Dense(3))), "at 'body' several values meet"),
        (seq(act=Act(), pool=GlobalPool()), "nothing changes the channels"),
    ],
)
def test_a_network_without_a_head_is_an_error_that_names_what_is_in_the_way(net: Spec, message: str):
    with pytest.raises(ValueError, match=message):
        rewrite.replace_head(net, 5)


def test_a_head_of_no_class_is_an_error():
    with pytest.raises(ValueError, match=r"at least one class, not 2\.5"):
        rewrite.replace_head(seq(fc=Dense(3)), 2.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="at least one class, not 0"):
        rewrite.replace_head(NET, 0)


# freeze


def test_patterns_freeze_layers_by_path_and_parts_whole():
    net, paths = rewrite.freeze(NET, ("stem.conv", "layer1.?.bn[12]", "mixed"))
    assert paths == (
        "stem.conv", "layer1.0.bn1", "layer1.0.bn2", "layer1.1.bn1", "layer1.1.bn2",
        "mixed.side", "mixed.wide.conv", "mixed.wide.bn", "mixed.wide.act", "mixed",
    )  # fmt: skip
    still = [row.path for row in jaxcnn.walk(net, SHAPE) if row.leaf == BatchNorm(frozen=True)]
    assert still == [path for path in paths if kinds(NET)[path] == "BatchNorm"]
    thawed = rewrite.map_leaves(net, lambda _, leaf: BatchNorm() if isinstance(leaf, BatchNorm) else leaf)
    assert thawed == NET


def test_a_pattern_does_not_match_in_the_middle_of_a_path():
    assert rewrite.freeze(NET, ("stem",))[1] == ("stem.conv", "stem.bn", "stem.act")
    with pytest.raises(ValueError, match=r"nothing is called 'conv'; did you mean '.*conv'\?"):
        rewrite.freeze(NET, ("stem", "conv"))


def test_a_frozen_batch_norm_trains_by_its_running_statistics_and_keeps_them():
    params, stats = drawn(BatchNorm())
    y, new = jaxcnn.apply(BatchNorm(frozen=True), params, stats, X, train=True)
    np.testing.assert_array_equal(y, output(BatchNorm(), params, stats))
    jax.tree.map(np.testing.assert_array_equal, new, stats)


# fold_batch_norm


def check_folded(net: Spec, shape: tuple[int, ...], left: int) -> None:
    """The same output, all but `left` BatchNorms gone, and exactly the parameters that the new spec asks for."""
    params, stats = drawn(net, shape)
    before = jax.tree.map(jnp.copy, (params, stats))
    folded, new, new_stats = rewrite.fold_batch_norm(net, params, stats)
    x = jnp.asarray(np.random.default_rng(2).normal(size=(1, *shape)), jnp.float32)
    expected, got = output(net, params, stats, x), output(folded, new, new_stats, x)
    # float32: every layer rounds sums by some 1e-7 of their size, otherwise before and after; over tens of layers
    # that grows to 5e-6 of the logits' deviation (vgg11_bn; others less). A wrong factor shows as 1e-2 or more.
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-5 * float(jnp.std(expected)))
    assert (
        sum(kind == "BatchNorm" for kind in kinds(folded, shape).values())
        == left
        == sum("mean" in layer for layer in new_stats.values())
    )
    assert list(kinds(folded, shape)) == list(kinds(net, shape))
    described = jaxcnn.abstract(folded, shape)
    assert jax.tree.map(jnp.shape, (new, new_stats)) == jax.tree.map(lambda leaf: leaf.shape, described)
    jax.tree.map(np.testing.assert_array_equal, (params, stats), before)  # the arguments are not changed


FOLDS: dict[str, tuple[Spec, int]] = {
    "branches; one norm stays, over a concatenation": (NET, 1),
    "convolution with a bias": (seq(conv=Conv(5, 3, 2, bias=True), bn=BatchNorm(eps=0.1)), 0),
    "grouped": (seq(conv=Conv(6, groups=3), bn=BatchNorm()), 0),
    "depthwise": (seq(conv=Conv(None, groups=None), bn=BatchNorm()), 0),
    "norm without scale": (seq(conv=Conv(5), bn=BatchNorm(scale=False)), 0),
    "transposed": (seq(conv=ConvTranspose(5, 3), bn=BatchNorm()), 0),
    "transposed, in groups": (seq(wide=Conv(4), conv=ConvTranspose(6, 3, groups=2, bias=False), bn=BatchNorm()), 0),
    "dense": (seq(pool=GlobalPool(), fc=Dense(4, bias=False), bn=BatchNorm()), 0),
    "padding with a value": (seq(conv=Conv(4, padding_mode=2.0), bn=BatchNorm()), 0),
    "in another graph": (seq(a=seq(Act(), Conv(4)), b=add(seq(bn=BatchNorm(), act=Act()))), 0),
    "alone": (BatchNorm(), 1),
    "before the convolution": (seq(bn=BatchNorm(), act=Act(), conv=Conv(4)), 1),
    "after an activation": (seq(conv=Conv(4), act=Act(), bn=BatchNorm()), 1),
    "after another norm": (seq(conv=Conv(4), ln=LayerNorm(), bn=BatchNorm()), 1),
    "after a pooling": (seq(conv=Conv(4), pool=Pool("max", 2), bn=BatchNorm()), 1),
    "the convolution is read twice": (
        Graph((Node("conv", Conv(4)), Node("bn", BatchNorm(), ("conv",)), Node("sum", Act(), ("bn", "conv")))),
        1,
    ),
    "two norms read the convolution": (seq(conv=Conv(4), both=concat(a=BatchNorm(), b=BatchNorm())), 2),
    "read by an auxiliary head": (
        Graph((Node("conv", Conv(4)), Node("aux", GlobalPool(), ("conv",)), Node("bn", BatchNorm(), ("conv",)))),
        1,
    ),
    "pre-activation": (
        seq(stem=Conv(4), unit=add(seq(n1=BatchNorm(), a1=Act(), c1=Conv(4), n2=BatchNorm(), c2=Conv(4)), Identity())),
        1,
    ),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", FOLDS)
def test_a_folded_network_computes_the_same_and_what_cannot_be_folded_stays(name: str):
    net, left = FOLDS[name]
    check_folded(net, SHAPE, left)


def test_folding_twice_changes_nothing_more():
    once = rewrite.fold_batch_norm(NET, *drawn(NET))
    twice = rewrite.fold_batch_norm(*once)
    assert twice[0] == once[0]
    jax.tree.map(np.testing.assert_array_equal, twice[1:], once[1:])


# Norms that stay, in the networks that have any: those that do not follow a convolution.
STAY = {
    "fmnist_cnn": 5,  # all five, after activations
    "densenet121": 62, "densenet161": 82, "densenet169": 86, "densenet201": 102,  # one a layer and transition, the last
    "resnet50v2": 17, "resnet101v2": 34, "resnet152v2": 51,  # one a block, the last
    "airbench": 3,  # those after pools
    "nasnet_mobile": 4, "nasnet_large": 4,  # those after the two halves of a factorized reduction
}  # fmt: skip


LARGER = {  # than others of the same blocks: seconds each, hundreds of megabytes
    "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_m", "efficientnet_v2_l", "regnet_x_16gf", "regnet_x_32gf",
    "regnet_y_16gf", "regnet_y_32gf", "resnext101_64x4d", "wide_resnet101_2",
}  # fmt: skip


@pytest.mark.every(5)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGER else []) for name in jaxcnn.models()]
)
def test_every_norm_of_the_zoo_that_follows_a_convolution_folds(name: str):
    entry = jaxcnn.zoo.NETWORKS[name]
    net = entry.build()
    rows = jaxcnn.walk(net, entry.input)

    def ones(kind: str) -> dict:  # without memory, whatever the size
        layers = {row.path: getattr(row.layout, kind) for row in rows}
        return {
            path: {name: np.broadcast_to(np.float32(1), described.shape) for name, described in layer.items()}
            for path, layer in layers.items()
            if layer
        }

    folded, params, stats = rewrite.fold_batch_norm(net, ones("params"), ones("stats"))
    assert sum(isinstance(row.leaf, BatchNorm) for row in jaxcnn.walk(folded, entry.input)) == STAY.get(name, 0)
    wanted = [{p: {n: d.shape for n, d in layer.items()} for p, layer in tree.items()} for tree in (
        {row.path: row.layout.params for row in jaxcnn.walk(folded, entry.input) if row.layout.params},
        {row.path: row.layout.stats for row in jaxcnn.walk(folded, entry.input) if row.layout.stats},
    )]  # fmt: skip
    assert [jax.tree.map(np.shape, tree) for tree in (params, stats)] == wanted


# One network of each family, at an input about as small as it takes.
SIZES = {
    "resnet20": 32, "shufflenet_v2_x1_0": 32, "resnet18": 32, "resnet50v2": 32, "resnext50_32x4d": 32,
    "googlenet": 32, "inception_v3": 75, "bn_inception": 64, "inception_resnet_v2": 75, "xception": 71,
    "mobilenet": 32, "mobilenet_v2": 32, "mobilenet_v3_small": 32, "shufflenet_v1": 64, "mnasnet0_5": 32,
    "densenet121": 32, "nasnet_mobile": 32, "efficientnet_b0": 32, "efficientnet_v2_s": 32,
    "regnet_y_400mf": 32, "vgg11_bn": 32,
}  # fmt: skip
QUICK = ("resnet20",)  # the others take 5 to 30 seconds each


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in SIZES]
)
def test_a_network_of_every_family_computes_the_same_when_it_is_folded(name: str):
    shape = (SIZES[name], SIZES[name], jaxcnn.zoo.NETWORKS[name].input[-1])
    check_folded(jaxcnn.create(name), shape, STAY.get(name, 0))


def test_folding_the_arrays_of_another_network_is_an_error_that_names_the_layer():
    net = seq(conv=Conv(4), bn=BatchNorm())
    other = jaxcnn.init(seq(conv=Conv(4), norm=BatchNorm()), jax.random.key(0), (5, 5, 3))
    with pytest.raises(ValueError, match="no arrays for 'bn': the given ones are another network's"):
        rewrite.fold_batch_norm(net, *other)
