"""Every network of the zoo, in one pass; and the exact figures of those that the lectures print."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import random

import jaxcnn
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, Flatten, Pool, Spec, seq
from jaxcnn.zoo import NETWORKS

HEAVY = 1_000_000_000  # multiply-accumulates; a network beyond that takes minutes to compile here
DEEPER = {"resnet32", "resnet44", "resnet56", "resnet110"}  # than resnet20, of the same blocks
HARD = {"alexnet_2012", "shufflenet_v1"}  # to compile: grouped convolutions
SCALED = {  # from efficientnet_b0, efficientnet_v2_s, convnext_tiny, regnet_x_400mf and regnet_y_400mf
    *(f"efficientnet_b{number}" for number in range(1, 8)), "efficientnet_v2_m", "efficientnet_v2_l",
    *(f"convnext_{size}" for size in ("small", "base", "large")),
    *(f"regnet_{kind}_{size}" for kind in "xy" for size in ("800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
}  # fmt: skip
every_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SCALED else []) for name in NETWORKS]
)
# Of the others, torchvision's and Keras's, goldens hold the values and gradients: see test_goldens.
every_network_without_a_peer = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if slow else [])
        for name, entry in NETWORKS.items()
        for slow in [name in DEEPER | HARD or jaxcnn.macs(entry.build(), entry.input) > HEAVY]
        if not entry.peer
    ],
)


def built(name: str, **options):
    return jaxcnn.create(name, **options), NETWORKS[name].input


def images(count: int, shape: tuple[int, ...]):
    return jnp.asarray(random(0, count, *shape), jnp.float32)


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def drawn(net: Spec, shape: tuple[int, ...]):
    """Parameters like those of `init`, without its compilation of random numbers for every shape."""
    params, stats = jaxcnn.abstract(net, shape)

    def kernel(leaf):
        deviation = math.sqrt(2 / math.prod(leaf.shape[:-1])) if len(leaf.shape) > 1 else 1
        return jnp.asarray(deviation * random(1, *leaf.shape), leaf.dtype)

    return jax.tree.map(kernel, params), jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), stats)


# Every network.


def test_init_has_exactly_the_shapes_promised_without_computing():
    net, shape = built("fmnist_cnn")
    drawn = jax.jit(partial(jaxcnn.init, net, shape=shape))(jax.random.key(0))
    assert shapes(drawn) == shapes(jaxcnn.abstract(net, shape))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(drawn))


@pytest.mark.every(5)
@every_network
def test_every_node_has_the_shape_that_the_walk_predicts(name):
    options = {} if name == "alphago_policy" else {"classes": 7}  # that one has a class for each of the 361 places
    net, shape = built(name, **options)
    params, stats = jaxcnn.abstract(net, shape)
    result = jax.eval_shape(partial(jaxcnn.forward, net), params, stats, jnp.ones((2, *shape)))
    assert result.output.shape == (2, *jaxcnn.output_shape(net, shape)) == (2, options.get("classes", 361))
    rows = jaxcnn.walk(net, shape)
    at = Counter(row.path for row in rows)
    for row in rows:
        if row.path in result.activations and at[row.path] == 1:  # several leaves without a name share their path
            assert result.activations[row.path].shape == (2, *row.layout.output)
    assert shapes(result.batch_stats) == shapes(stats)


@pytest.mark.every(2)
@every_network_without_a_peer
def test_logits_and_gradients_are_finite_and_padding_does_not_count(name):
    net, shape = built(name)
    params, stats = drawn(net, shape)
    mask = jnp.array([1.0, 1.0, 0.0])

    @jax.jit
    def train(params, x):
        def loss(params):
            logits, new = jaxcnn.apply(net, params, stats, x, train=True, rng=jax.random.key(1), mask=mask)
            return jnp.sum(jax.nn.logsumexp(logits, -1) * mask), (logits, new)

        return jax.value_and_grad(loss, has_aux=True)(params)

    x = images(3, shape)
    (_, (logits, new)), gradients = train(params, x)
    assert logits.shape == (3, *jaxcnn.output_shape(net, shape))
    for leaf in jax.tree.leaves((logits, new, gradients)):
        assert np.isfinite(leaf).all()
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(new))

    (_, (others, same)), same_gradients = train(params, x.at[2].set(5 * x[2]))
    np.testing.assert_array_equal(logits[:2], others[:2])
    # The padded image meets the same program, times zero: not one bit may change.
    jax.tree.map(np.testing.assert_array_equal, (new, gradients), (same, same_gradients))


# The lectures' figures.


@pytest.mark.parametrize(
    ("name", "options", "trainable", "moving", "macs"),
    [
        ("lenet5", {}, 61_706, 0, 416_520),
        ("fmnist_cnn", {}, 1_677_674, 1_408, 19_899_904),
        ("cifar_cnn", {}, 5_852_170, 832, 137_729_024),
        ("mlp", {}, 784 * 128 + 128 + 1_280 + 10, 0, 784 * 128 + 1_280),
        ("mlp", {"width": 30, "classes": 3}, 784 * 30 + 30 + 90 + 3, 0, 784 * 30 + 90),
    ],
)
def test_parameters_and_operations_are_the_published_ones(name, options, trainable, moving, macs):
    net, shape = built(name, **options)
    params, stats = jaxcnn.abstract(net, shape)
    assert (jaxcnn.parameter_count(params), jaxcnn.parameter_count(stats)) == (trainable, moving)
    assert jaxcnn.macs(net, shape) == macs


def test_lenet5_for_32x32_is_the_same_network_without_padding():
    net = jaxcnn.create("lenet5", padding=0)
    assert jaxcnn.parameter_count(jaxcnn.abstract(net, (32, 32, 1))[0]) == 61_706
    assert jaxcnn.macs(net, (32, 32, 1)) == 416_520
    weighted = [row for row in jaxcnn.walk(net, (32, 32, 1)) if row.layout.params]
    assert len(weighted) == 5


def test_fmnist_cnn_has_the_layers_of_the_lecture_one_by_one():
    net, shape = built("fmnist_cnn")
    rows = jaxcnn.walk(net, shape)
    counts = [
        sum(math.prod(p.shape) for p in (*row.layout.params.values(), *row.layout.stats.values())) for row in rows
    ]
    published = [320, 128, 9_248, 128, 18_496, 256, 36_928, 256, 1_606_144, 2_048, 5_130]
    assert [count for count in counts if count] == published
    assert sum(published) == 1_679_082
    order = [type(row.leaf) for row in rows]
    unit = [Conv, Act, BatchNorm]
    dense = [Flatten, Dense, Act, BatchNorm, Dropout, Dense]
    assert order == 2 * [*unit, *unit, Pool, Dropout] + dense
    outputs = [row.layout.output for row in rows if isinstance(row.leaf, Pool | Flatten)]
    assert outputs == [(14, 14, 32), (7, 7, 64), (3136,)]


def test_cifar_cnn_takes_22_33_megabytes_with_its_buffers():
    net, shape = built("cifar_cnn")
    arrays = jax.tree.leaves(jaxcnn.abstract(net, shape))
    counters = 3 * 8  # PyTorch's num_batches_tracked, an int64 for each BatchNorm
    assert f"{(sum(a.size * a.dtype.itemsize for a in arrays) + counters) / 1024**2:.2f}" == "22.33"


# Receptive field: EE 541 unit 8.

STEM = seq(Conv(64, 7, 2, 3), BatchNorm(), Act(), Pool("max", 3, 2, 1))


def test_the_stem_of_the_lecture_sees_what_the_lecture_prints():
    fields = jaxcnn.receptive_field(STEM, (256, 256, 3))
    sizes = [256] + [row.layout.output[0] for row in jaxcnn.walk(STEM, (256, 256, 3))]
    assert sizes == [256, 128, 128, 128, 64]
    assert [tuple(field) for field in fields.values()] == [
        (7, 2, 0.5),
        (7, 2, 0.5),
        (7, 2, 0.5),
        (11, 4, 0.5),
    ]


def test_a_unit_sees_its_interval_which_the_lecture_cuts_at_the_border():
    """The lecture's tool prints (0, 6) for unit 1 of layer 2; ours begins a pixel before, in the padding."""
    field = jaxcnn.receptive_field(STEM, (256, 256, 3))["1"]
    assert field.interval(1) == (-1, 6)
    assert (max(0, field.interval(1)[0]), field.interval(1)[1]) == (0, 6)


@pytest.mark.parametrize("unit", [0, 1, 5, 15])
def test_the_interval_is_exactly_where_the_gradient_arrives(unit):
    net = seq(Conv(1, 5, 2, 2), Conv(1, 3, 1, "valid", 2), Pool("avg", 3, 2, 1))
    shape = (80, 1)
    params = jax.tree.map(lambda kernel: 1 + kernel**2, drawn(net, shape)[0])

    @jax.jit
    @jax.grad
    def slope(x):
        return jaxcnn.apply(net, params, {}, x)[0][0, unit, 0]

    reached = np.flatnonzero(slope(images(1, shape))[0, :, 0])
    first, end = jaxcnn.receptive_field(net, shape)["2"].interval(unit)
    assert (reached[0], reached[-1] + 1) == (max(first, 0), min(end, 80))


# Errors.


def test_too_small_an_input_names_the_layer():
    with pytest.raises(ValueError, match=r"5x5 .*does not fit into an input of 4x4") as raised:
        jaxcnn.init(jaxcnn.create("lenet5"), jax.random.key(0), (8, 8, 1))
    assert raised.value.__notes__[0].startswith("in layer 'conv2': Conv(16, 5")


def test_an_input_of_another_size_than_the_parameters_names_the_layer():
    net, shape = built("lenet5")
    params, stats = jaxcnn.abstract(net, shape)
    with pytest.raises(ValueError, match=r"its 'kernel' in params is 400x120, not 576x120") as raised:
        jax.eval_shape(partial(jaxcnn.apply, net), params, stats, jnp.ones((1, 32, 32, 1)))
    assert "fc1" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet", {}, "no network 'lenet'; did you mean 'lenet5'. `jaxcnn models` lists all .*module:function"),
        ("zzz", {}, "no network 'zzz'; `jaxcnn models` lists"),
        ("lenet5", {"clases": 3}, "'lenet5' has no option clases; it has: classes, padding"),
        ("jaxcnn.nowhere:net", {}, "cannot load network 'jaxcnn.nowhere:net'"),
        ("jaxcnn.zoo.lenet:lenet6", {}, "cannot load network 'jaxcnn.zoo.lenet:lenet6'"),
        ("jaxcnn.zoo:models", {}, "must return a spec .*not list"),
    ],
)
def test_a_network_that_does_not_exist_is_an_error_with_those_that_do(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxcnn.create(name, **options)


def test_a_network_of_ones_own_is_created_by_module_and_function():
    assert jaxcnn.create("jaxcnn.zoo.lenet:lenet5", classes=3) == jaxcnn.create("lenet5", classes=3)


def test_models_lists_every_name_that_create_knows():
    assert jaxcnn.models() == sorted(NETWORKS)
    assert {jaxcnn.create(name) for name in jaxcnn.models()} == {entry.build() for entry in NETWORKS.values()}


# Summary, features, edits, dropout.


def test_summary_tells_layers_totals_and_fields():
    text = jaxcnn.summary(jaxcnn.create("lenet5"), (28, 28, 1))
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["layer", "kind", "output", "parameters", "MACs", "field", "jump", "start", "memory"]
    assert ["conv1", "Conv", "28x28x6", "156", "117,600", "5", "1", "0.5", "18,816"] in lines
    assert ["pool2", "Pool", "5x5x16", "16", "4", "6", "1,600"] in lines
    assert ["fc1", "Dense", "120", "48,120", "48,000", "480"] in lines
    assert "input 28x28x1" in text
    assert "parameters 61,706: 61,706 trainable, 0 moving statistics" in text
    assert text.endswith("multiply-accumulates 416,520 per image")


def test_summary_adds_moving_statistics_to_the_parameters():
    text = jaxcnn.summary(jaxcnn.create("fmnist_cnn"), (28, 28, 1))
    assert "parameters 1,679,082: 1,677,674 trainable, 1,408 moving statistics" in text


SMALL = seq(
    stage1=seq(conv=Conv(4), act=Act()), stage2=seq(conv=Conv(6), act=Act(), drop=Dropout(0.5)),
    flatten=Flatten(), fc=Dense(3),
)  # fmt: skip


@pytest.fixture(scope="module")
def small():
    params, stats = drawn(SMALL, (4, 4, 2))
    return params | {"fc": params["fc"] | {"bias": jnp.zeros(3)}}, stats, images(2, (4, 4, 2))


def test_features_are_the_activations_at_names_and_patterns(small):
    params, stats, x = small
    found = jaxcnn.features(SMALL, params, stats, x, ["fc", "stage*.conv", "stage2"])
    assert list(found) == ["fc", "stage1.conv", "stage2.conv", "stage2"]
    assert {path: array.shape[1:] for path, array in found.items()} == {
        "fc": (3,), "stage1.conv": (4, 4, 4), "stage2.conv": (4, 4, 6), "stage2": (4, 4, 6),
    }  # fmt: skip
    np.testing.assert_array_equal(found["fc"], jaxcnn.apply(SMALL, *small)[0])


def test_every_named_node_is_an_activation_in_order(small):
    assert list(jaxcnn.forward(SMALL, *small).activations) == [
        "stage1.conv", "stage1.act", "stage1", "stage2.conv", "stage2.act", "stage2.drop", "stage2",
        "flatten", "fc",
    ]  # fmt: skip


def test_a_feature_that_nothing_matches_is_an_error_with_the_known_paths(small):
    params, stats, x = small
    with pytest.raises(KeyError, match=r"no layer is called 'stage3\.\*'; there are: stage1.conv, stage1.act"):
        jaxcnn.features(SMALL, params, stats, x, ["fc", "stage3.*"])


def test_an_edit_changes_what_the_later_layers_see(small):
    params, stats, x = small
    result = jaxcnn.forward(SMALL, params, stats, x, edits={"stage1.act": jnp.zeros_like})
    np.testing.assert_array_equal(result.activations["stage1.act"], 0)
    assert np.any(result.activations["stage1.conv"] != 0)
    np.testing.assert_array_equal(result.output, 0)  # no biases but the last layer's, which is zero


def test_an_edit_may_name_a_whole_stage(small):
    edited = jaxcnn.forward(SMALL, *small, edits={"stage2": lambda y: 2 * y}).output
    np.testing.assert_array_equal(edited, 2 * jaxcnn.apply(SMALL, *small)[0])  # a power of two rounds nothing


def test_an_edit_of_no_layer_is_an_error(small):
    with pytest.raises(KeyError, match=r"no layer is called stage1\.relu; there are: stage1.conv"):
        jaxcnn.forward(SMALL, *small, edits={"stage1.relu": jnp.zeros_like})


def test_dropout_in_training_needs_a_key_and_says_where(small):
    with pytest.raises(ValueError, match="dropout in training needs a key") as raised:
        jaxcnn.apply(SMALL, *small, train=True)
    assert "'stage2.drop'" in raised.value.__notes__[0]


def dropped(net, path="drop"):
    x = jnp.ones((1, 64))
    result = jaxcnn.forward(net, {}, {}, x, train=True, rng=jax.random.key(3))
    return np.asarray(result.activations[path] != 0)


def test_dropout_depends_on_its_own_path_and_on_nothing_around_it():
    alone = dropped(seq(drop=Dropout(0.5)))
    np.testing.assert_array_equal(alone, dropped(seq(first=Act(), second=Act("tanh"), drop=Dropout(0.5), last=Act())))
    np.testing.assert_array_equal(alone, dropped(seq(drop=Dropout(0.5), other=Dropout(0.5))))
    assert (alone != dropped(seq(other=Dropout(0.5)), "other")).any()


def test_initial_parameters_depend_on_their_own_path_and_on_nothing_around_it():
    longer = seq(stem=Conv(2, 1), **{node.name: node.spec for node in SMALL.nodes})
    key = jax.random.key(0)
    (first, _), (second, _) = (jaxcnn.init(net, key, (4, 4, 2)) for net in (SMALL, longer))
    assert set(second) - set(first) == {"stem"}
    jax.tree.map(np.testing.assert_array_equal, first, {path: second[path] for path in first})


def test_kernels_begin_he_normal_biases_zero_scales_one():
    net = seq(conv=Conv(64, bias=True), bn=BatchNorm())
    params, stats = jaxcnn.init(net, jax.random.key(0), (8, 8, 32))
    kernel = params["conv"]["kernel"]
    # 18,432 draws: the standard deviation is known to 1/sqrt(2 * 18,432) = 0.5 %; five times that.
    np.testing.assert_allclose(kernel.std(), math.sqrt(2 / (9 * 32)), rtol=0.026)
    assert not params["conv"]["bias"].any()
    assert (params["bn"]["scale"] == 1).all()
    assert not stats["bn"]["mean"].any()
    assert (stats["bn"]["var"] == 1).all()
