"""A spec is a value: comparable, hashable, printable, and wrong ones cannot be built."""

from __future__ import annotations

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.layout import merge_shapes
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    Leaf,
    Node,
    Pool,
    Spec,
    add,
    concat,
    mul,
    seq,
)


def block(width: int) -> Graph:
    body = seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), conv2=Conv(width), bn2=BatchNorm())
    return add(body, downsample=seq(Conv(width, 1), BatchNorm()), then=Act())


def paths(net: Spec, shape=(8, 8, 4)) -> list[str]:
    return [row.path for row in jaxcnn.walk(net, shape)]


def test_equal_specs_are_one_key():
    assert block(8) == block(8)
    assert hash(block(8)) == hash(block(8))
    assert {block(8): "found"}[block(8)] == "found"


def test_one_field_makes_a_different_spec():
    assert block(8) != block(9)
    assert Conv(8) != Conv(8, bias=True)


def test_a_spec_prints_as_what_builds_it():
    net = seq(Conv(8, (3, 5)), pool=Pool("max", 2), rest=block(4))
    assert eval(repr(net)) == net


def test_a_spec_cannot_be_changed():
    with pytest.raises(AttributeError, match="cannot assign to field"):
        Conv(8).width = 9  # pyright: ignore[reportAttributeAccessIssue]


def test_a_spec_is_a_static_argument_of_jit():
    compiled = []

    @partial(jax.jit, static_argnums=0)
    def run(net, params, x):
        compiled.append(net)
        return jaxcnn.apply(net, params, {}, x)[0]

    x = jnp.arange(6.0).reshape(2, 3)
    params = {"": {"kernel": jnp.array([[1.0], [2.0], [3.0]]), "bias": jnp.array([0.5])}}
    for net in (Dense(1), Dense(1)):
        np.testing.assert_array_equal(run(net, params, x), [[8.5], [26.5]])
    assert len(compiled) == 1
    run(Dense(1, bias=False), params, x)
    assert len(compiled) == 2


def test_a_sequence_counts_its_positions_and_keeps_its_names():
    assert paths(seq(Conv(3), Act(), head=Conv(2))) == ["0", "1", "head"]
    assert [node.inputs for node in seq(Conv(3), Act(), head=Conv(2)).nodes] == [("in",), ("0",), ("1",)]


def test_paths_are_dotted_and_anonymous_names_leave_no_trace():
    net = seq(layer1=seq(block(4), block(4)))
    assert paths(net)[:9] == [
        "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.bn2",
        "layer1.0.downsample.0", "layer1.0.downsample.1", "layer1.0", "layer1.1.conv1",
    ]  # fmt: skip
    assert not any("_" in path for path in paths(net))


@pytest.mark.parametrize(
    ("build", "expected"), [(add, [[5.0, 8.0]]), (mul, [[6.0, 15.0]]), (concat, [[2.0, 3.0, 3.0, 5.0]])]
)
def test_branches_read_the_same_input_and_are_merged(build, expected):
    net = build(Identity(), side=Dense(2, bias=False))
    x, kernel = jnp.array([[2.0, 3.0]]), jnp.array([[0.0, 1.0], [1.0, 1.0]])
    output, _ = jaxcnn.apply(net, {"side": {"kernel": kernel}}, {}, x)
    np.testing.assert_array_equal(output, expected)
    assert jaxcnn.output_shape(net, (2,)) == output.shape[1:]


def test_then_is_applied_to_what_was_merged():
    output, _ = jaxcnn.apply(add(Identity(), Identity(), then=Act("relu")), {}, {}, jnp.array([[-1.0, 2.0]]))
    np.testing.assert_array_equal(output, [[0.0, 4.0]])


def test_a_gate_of_single_places_is_broadcast_over_the_image():
    gate = mul(Identity(), seq(GlobalPool(keepdims=True), Act("relu")))
    x = jnp.arange(8.0).reshape(1, 2, 2, 2)
    output, _ = jaxcnn.apply(gate, {}, {}, x)
    np.testing.assert_array_equal(output, x * jnp.array([3.0, 4.0]))
    assert jaxcnn.output_shape(gate, (2, 2, 2)) == (2, 2, 2)


def test_two_layers_with_parameters_at_one_path_are_an_error():
    with pytest.raises(ValueError, match="two nodes share the path '0': name one of the branches"):
        add(seq(Conv(3), Act()), seq(Conv(3), BatchNorm()))
    with pytest.raises(ValueError, match="two layers with parameters or randomness share the path ''"):
        add(Conv(3), Conv(3))


def test_branches_with_dropouts_of_one_name_are_an_error():
    """They would draw the same mask: of ones, both halves of the output were equal."""
    with pytest.raises(ValueError, match="two nodes share the path 'drop'"):
        concat(seq(drop=Dropout(0.5)), seq(drop=Dropout(0.5)))
    with pytest.raises(ValueError, match="randomness share the path ''"):
        concat(Dropout(0.5), Dropout(0.5))
    net = concat(Dropout(0.5), side=Dropout(0.5))
    y, _ = jaxcnn.apply(net, {}, {}, jnp.ones((1, 64)), train=True, rng=jax.random.key(0))
    assert (y[0, :64] != y[0, 64:]).any()


def test_activations_of_one_name_are_an_error():
    """`features` could give the last branch's only."""
    with pytest.raises(ValueError, match="two nodes share the path 'act'"):
        concat(seq(act=Act("tanh")), seq(act=Act()))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Conv(8, kernal=3), TypeError, "Conv has no field 'kernal'; did you mean 'kernel'"),  # pyright: ignore
        (lambda: Conv(8, [3, 3]), TypeError, r"Conv.kernel must be int .*, not \[3, 3\]: write \(3, 3\)"),  # pyright: ignore
        (lambda: Conv("8"), TypeError, "Conv.width must be int | None, not '8'"),  # pyright: ignore
        (lambda: Conv(True), TypeError, "Conv.width must be int | None, not True"),
        (lambda: Pool("Max", 2), ValueError, "Pool.kind must be one of 'max', 'avg', 'lp', not 'Max'"),  # pyright: ignore
        (lambda: Node("a", Conv), TypeError, "Node.spec must be a layer or a graph, not <class"),  # pyright: ignore
        (lambda: Node("a", Act(), merge="plus"), ValueError, "Node.merge must be one of 'sum'"),  # pyright: ignore
        (lambda: Conv(8, np.array([2, 2])), TypeError, "Conv.kernel must be int"),  # pyright: ignore
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_an_error_at_once(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_numbers_of_numpy_are_those_of_python():
    net = Conv(np.int64(8), (np.int32(3), 5), padding_mode=np.float32(0.5))  # pyright: ignore
    assert net == Conv(8, (3, 5), padding_mode=0.5) and hash(net) == hash(Conv(8, (3, 5), padding_mode=0.5))
    assert type(net.width) is int and type(net.padding_mode) is float


NET = seq(conv=Conv(2, 5), fc=seq(pool=GlobalPool(), out=Dense(3)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, s, x: jaxcnn.apply(NET, {}, {}, x), ValueError, "params has no 'kernel' for this layer"),
        (
            lambda p, s, x: jaxcnn.apply(NET, p | {"conv": {"kernel": jnp.ones((3, 3, 4, 2))}}, s, x),
            ValueError,
            "its 'kernel' in params is 3x3x4x2, not 5x5x4x2",
        ),
        (lambda p, s, x: jaxcnn.apply(NET, None, s, x), TypeError, "params must be .*, not NoneType"),
        (lambda p, s, x: jaxcnn.apply(NET, p, s, None), TypeError, "x must be a batch, .*, not None"),
        (lambda p, s, x: jaxcnn.apply(NET, p, s, x[0, 0, 0]), TypeError, r"x must be a batch, .*, not \(4,\)"),
        (lambda p, s, x: jaxcnn.apply("lenet5", p, s, x), TypeError, "net must be a layer or a graph .*, not 'lenet5'"),
        (lambda p, s, x: jaxcnn.init(NET, 0, (8, 8, 4)), TypeError, r"rng must be a key, .*, not 0"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_get_a_sentence(call, error, message):
    params, stats = jaxcnn.init(NET, jax.random.key(0), (8, 8, 4))
    with pytest.raises(error, match=message):
        call(params, stats, jnp.ones((1, 8, 8, 4)))


def test_specs_may_be_nested_deeply():
    def nested(depth: int) -> Spec:
        net: Spec = Conv(3)
        for _ in range(depth):
            net = seq(a=net)
        return net

    net, other = nested(300), nested(300)
    assert net == other and hash(net) == hash(other)
    assert net != nested(299) and net != nested(301)
    assert repr(net).count("seq(") == 300
    assert eval(repr(nested(90))) == nested(90)  # Python's parser takes 100 brackets, or 200
    params, stats = jaxcnn.init(net, jax.random.key(0), (4, 4, 3))
    assert jaxcnn.apply(net, params, stats, jnp.ones((1, 4, 4, 3)))[0].shape == (1, 4, 4, 3)
    assert list(jaxcnn.receptive_field(net, (4, 4, 3)).values())[-1].size == 3


def test_a_spec_can_be_pickled():
    net = block(8)
    copy = pickle.loads(pickle.dumps(net))
    assert copy == net and hash(copy) == hash(net)


def test_a_network_prints_as_a_tree():
    net = seq(Conv(8, (3, 5)), pool=Pool("max", 2), rest=block(4), **{"not a name": Act()})
    assert eval(repr(net)) == net
    assert (
        repr(block(8))
        == """\
add(
    seq(conv1=Conv(8), bn1=BatchNorm(), relu=Act(), conv2=Conv(8), bn2=BatchNorm()),
    downsample=seq(Conv(8, 1), BatchNorm()),
    then=Act(),
)"""
    )


def test_layers_without_parameters_may_share_a_path():
    assert paths(add(Act(), Act("tanh"))) == ["", "", ""]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "at least one node"),
        ((Node("a", Act()), Node("a", Act())), "'a' must be new"),
        ((Node("in", Act()),), "'in' must be new"),
        ((Node("", Act()),), "'' must be new, not empty"),
        ((Node("a.b", Act()),), "'a.b' must be new, not empty and without dots"),
        (
            (Node("a", Act(), ("b",)), Node("b", Act())),
            r"'a' reads \['b'\], but only \['in'\] come before it",
        ),
        ((Node("a", Act(), ()),), "'a' needs at least one input"),
    ],
)
def test_a_graph_that_cannot_run_cannot_be_built(nodes, message):
    with pytest.raises(ValueError, match=message):
        Graph(nodes)


def test_a_branching_of_nothing_is_an_error():
    for build in (seq, add, mul, concat):
        with pytest.raises(ValueError, match="at least one"):
            build()


def test_a_name_that_is_also_a_position_is_an_error():
    with pytest.raises(ValueError, match="'0' must be new"):
        seq(Conv(3), **{"0": Conv(4)})


@pytest.mark.parametrize(
    ("merge", "shapes", "result"),
    [
        ("sum", [(4, 4, 3), (4, 4, 3)], (4, 4, 3)),
        ("mul", [(4, 4, 3), (1, 1, 3)], (4, 4, 3)),
        ("mul", [(4, 4, 1), (1, 1, 3)], (4, 4, 3)),
        ("concat", [(4, 4, 3), (4, 4, 5)], (4, 4, 8)),
    ],
)
def test_merged_shapes(merge, shapes, result):
    assert merge_shapes(merge, shapes) == result


@pytest.mark.parametrize(
    ("merge", "shapes", "message"),
    [
        ("sum", [(4, 4, 3), (4, 4, 5)], "cannot sum values of shapes 4x4x3, 4x4x5"),
        ("sum", [(4, 4, 3), (1, 1, 3)], "cannot sum"),
        ("mul", [(4, 4, 3), (2, 2, 3)], "cannot mul"),
        ("mul", [(4, 4, 3), (3,)], "cannot mul"),
        ("concat", [(4, 4, 3), (2, 2, 3)], "cannot concat values of shapes 4x4x3, 2x2x3"),
        ("stack", [(4, 4, 3)], "'stack' is not one of sum, mul, concat"),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(merge, shapes, message):
    with pytest.raises(ValueError, match=message):
        merge_shapes(merge, shapes)


@pytest.mark.parametrize(
    ("leaf", "shape", "output", "parameters"),
    [
        (Conv(8, 3, 2), (9, 9, 4), (5, 5, 8), 288),
        (Conv(None, 3, groups=None), (9, 9, 4), (9, 9, 4), 36),
        (Conv(8, 3, padding=0, bias=True), (9, 4), (7, 8), 104),
        (Conv(2, (1, 2, 3), padding=0), (4, 4, 4, 2), (4, 3, 2, 2), 24),
        (Dense(5), (7,), (5,), 40),
        (BatchNorm(), (4, 4, 3), (4, 4, 3), 6),
        (BatchNorm(scale=False), (3,), (3,), 3),
        (Pool("max", 3, 2, 1), (8, 8, 3), (4, 4, 3), 0),
        (Pool("avg", 2), (9, 8, 3), (4, 4, 3), 0),
        (GlobalPool(), (8, 8, 3), (3,), 0),
        (GlobalPool("max", keepdims=True), (8, 8, 3), (1, 1, 3), 0),
        (Flatten(), (4, 5, 3), (60,), 0),
        (Dropout(0.5), (4, 5, 3), (4, 5, 3), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Leaf) else None,
)  # fmt: skip
def test_every_leaf_has_the_shape_and_parameters_that_it_then_computes_with(leaf, shape, output, parameters):
    params, stats = jaxcnn.abstract(leaf, shape)
    assert jaxcnn.parameter_count(params) == parameters
    assert jaxcnn.output_shape(leaf, shape) == output
    assert jax.eval_shape(partial(jaxcnn.apply, leaf), params, stats, jnp.ones((2, *shape)))[0].shape == (
        2,
        *output,
    )


@pytest.mark.parametrize(
    ("leaf", "shape", "message"),
    [
        (Dense(5), (4, 4, 3), "takes a vector, not 4x4x3: put Flatten or GlobalPool before it"),
        (Conv(5), (7,), "takes an image, not a vector of 7"),
        (Pool("max", 2), (7,), "takes an image, not a vector of 7"),
        (Conv(6, groups=4), (4, 4, 8), "4 groups"),
        (Conv(6, (3, 3, 3)), (4, 4, 8), r"kernel must be .* or 2 of them, not \(3, 3, 3\)"),
        (Conv(6, 5, padding=0), (4, 4, 8), "5x5 .*does not fit into an input of 4x4"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Leaf) else None,
)
def test_a_leaf_over_a_shape_that_it_cannot_take_is_an_error(leaf, shape, message):
    with pytest.raises(ValueError, match=message):
        jaxcnn.walk(leaf, shape)
