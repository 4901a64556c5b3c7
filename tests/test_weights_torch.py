"""State dicts of PyTorch: the same outputs there and here, and nothing loaded in part."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Bias,
    Channels,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    LayerNorm,
    Node,
    Pool,
    RadialBasis,
    Scale,
    add,
    concat,
    seq,
)

KEY = jax.random.key(0)


def random_weights(net, shape, seed=0):
    """Every parameter and statistic drawn anew, positive where a variance must be."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.uniform(0.2, 1.0, a.shape), jnp.float32), jaxcnn.abstract(net, shape))


def flat(trees):
    return {(i, p, n): np.asarray(a) for i, t in enumerate(trees) for p, m in t.items() for n, a in m.items()}


def assert_same(one, other):
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=str(name))


def every_leaf(classes=5):
    """One of each layer with parameters, a flattened image before a norm and a dense layer."""
    return seq(
        conv=Conv(6, 3, bias=True), grouped=Conv(8, 3, groups=2), up=ConvTranspose(4, groups=2), bn=BatchNorm(),
        norm=LayerNorm(), gamma=Scale(0.5, trainable=True), shift=Bias(), positions=Bias(per_place=True),
        pool=Pool("max", 2), flatten=Flatten(), drop=Dropout(0.5), bn2=BatchNorm(scale=False), act=Act(),
        fc1=Dense(7), gain=Scale(1.0, trainable=True), fc2=Dense(classes, bias=False),
    )  # fmt: skip


SHAPE = (6, 4, 2)


def test_to_torch_and_from_torch_are_inverse_for_every_layer():
    net = seq(body=every_leaf(), rbf=RadialBasis(3))
    weights = random_weights(net, SHAPE)
    assert_same(jaxcnn.from_torch(net, jaxcnn.to_torch(net, *weights, SHAPE), SHAPE), weights)


def test_names_and_shapes_are_those_of_pytorch():
    state = jaxcnn.to_torch(every_leaf(), *random_weights(every_leaf(), SHAPE), SHAPE)
    assert {name: array.shape for name, array in state.items()} == {
        "conv.weight": (6, 2, 3, 3), "conv.bias": (6,), "grouped.weight": (8, 3, 3, 3), "up.weight": (8, 2, 2, 2),
        "up.bias": (4,), "bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,), "bn.running_var": (4,),
        "norm.weight": (4,), "norm.bias": (4,), "gamma": (4, 1, 1), "shift.bias": (4,), "positions.bias": (4, 12, 8),
        "bn2.bias": (96,), "bn2.running_mean": (96,), "bn2.running_var": (96,),
        "fc1.weight": (7, 96), "fc1.bias": (7,), "gain": (7,), "fc2.weight": (5, 7),
    }  # fmt: skip


def test_pytorch_computes_the_same():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = seq(
        conv=Conv(6, 3, padding=1, bias=True), up=ConvTranspose(4, 3, 2, padding=1), bn=BatchNorm(), act=Act(),
        flatten=Flatten(), drop=Dropout(0.5), bn2=BatchNorm(), fc1=Dense(7), fc2=Dense(5),
    )  # fmt: skip
    modules = {
        "conv": nn.Conv2d(2, 6, 3, padding=1), "up": nn.ConvTranspose2d(6, 4, 3, 2, padding=1),
        "bn": nn.BatchNorm2d(4), "act": nn.ReLU(), "flatten": nn.Flatten(), "drop": nn.Dropout(),
        "bn2": nn.BatchNorm1d(4 * 11 * 7), "fc1": nn.Linear(4 * 11 * 7, 7), "fc2": nn.Linear(7, 5),
    }  # fmt: skip
    peer = nn.Sequential()
    for name, module in modules.items():
        peer.add_module(name, module)
    params, stats = random_weights(net, SHAPE)
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in jaxcnn.to_torch(net, params, stats, SHAPE).items()})
    x = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        theirs = peer.eval()(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    # 300 terms of one sign: sums in float32 differ by some of their last digits, 2^-24 each.
    np.testing.assert_allclose(jaxcnn.apply(net, params, stats, x)[0], theirs, rtol=1e-5)
    assert_same(jaxcnn.from_torch(net, peer.state_dict(), SHAPE), (params, stats))


def test_flattened_branches_side_by_side_are_reordered_each():
    net = seq(both=concat(seq(c=Conv(2), f=Flatten()), seq(d=Conv(3, 1), p=Pool("max", 2), g=Flatten())), fc=Dense(3))
    shape = (4, 4, 2)
    weights = random_weights(net, shape)
    theirs = jaxcnn.to_torch(net, *weights, shape)["fc.weight"]
    ours = np.asarray(weights[0]["fc"]["kernel"])
    np.testing.assert_array_equal(theirs[:, :32].reshape(3, 2, 4, 4).transpose(2, 3, 1, 0).reshape(32, 3), ours[:32])
    np.testing.assert_array_equal(theirs[:, 32:].reshape(3, 3, 2, 2).transpose(2, 3, 1, 0).reshape(12, 3), ours[32:])


def test_a_part_of_a_flattened_image_is_refused():
    net = seq(flatten=Flatten(), part=Channels(0, 8), fc=Dense(3))
    with pytest.raises(ValueError, match="'fc' reads a part of a flattened image"):
        jaxcnn.from_torch(net, {}, (4, 4, 2))


def test_a_linear_layer_over_channels_loads_into_a_1x1_convolution():
    net = seq(mlp=Conv(3, 1, bias=True), gamma=Scale(1.0, trainable=True))
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    given = {"mlp.weight": weight, "mlp.bias": np.ones(3), "gamma": np.ones((3, 1, 1))}
    params, stats = jaxcnn.from_torch(net, given, (4, 4, 2))
    np.testing.assert_array_equal(params["mlp"]["kernel"][0, 0], weight.T)
    assert jaxcnn.to_torch(net, params, stats, (4, 4, 2), like=given)["mlp.weight"].shape == (3, 2)


def small(classes=3):
    return seq(conv=Conv(2, 3, bias=True), bn=BatchNorm(), pool=GlobalPool(), fc=Dense(classes))


SMALL = (4, 4, 1)


def state(classes=3):
    return jaxcnn.to_torch(small(classes), *random_weights(small(classes), SMALL))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3, "best_prec1": 0.9},
        lambda s: {"model": s, "optimizer": {"lr": 0.1}},
        lambda s: {f"module.{name}": array for name, array in s.items()},
        lambda s: {"state_dict": {f"_orig_mod.module.{name}": array for name, array in s.items()}},
        lambda s: s | {"bn.num_batches_tracked": np.array(7)},
        lambda s: {name: array.astype(np.float16) for name, array in s.items()},
    ],
    ids=["state_dict", "model", "module.", "nested", "num_batches_tracked", "float16"],
)
def test_wrapped_state_dicts_are_unwrapped(wrap):
    given = state()
    params, stats = jaxcnn.from_torch(small(), wrap(given), SMALL)
    # float16 keeps 11 bits
    np.testing.assert_allclose(params["fc"]["kernel"], given["fc.weight"].T, rtol=2**-11)
    assert params["fc"]["kernel"].dtype == jnp.float32 and set(stats) == {"bn"}


def test_what_does_not_fit_is_said_in_one_sentence_and_nothing_is_loaded():
    given = {name: array for name, array in state().items() if name not in ("bn.weight", "bn.running_var")}
    given |= {"fc.weight": np.ones((3, 9)), "conv2.weight": np.ones((2, 2, 3, 3))}
    with pytest.raises(ValueError) as error:
        jaxcnn.from_torch(small(), given, SMALL)
    assert str(error.value) == (
        "the weights do not fit the network: 2 missing (bn.weight 2, bn.running_var 2), 1 unexpected (conv2.weight "
        "2x2x3x3), 1 of another shape (fc.weight is 3x9, not 3x2)"
    )


def test_only_the_first_few_of_many_names_are_printed():
    with pytest.raises(ValueError, match=re.escape("8 missing (") + ".*and 4 more") as error:
        jaxcnn.from_torch(small(), {"a": np.ones(1)}, SMALL)
    assert "bn.running_var" not in str(error.value) and "fc.bias" not in str(error.value)


def test_another_number_of_classes_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"fc\.weight is 5x2, not 3x2.*head='new' loads all but the classifier"):
        jaxcnn.from_torch(small(), state(5), SMALL)


@pytest.mark.parametrize("classes", [5, 3], ids=["other classes", "same classes"])
def test_a_new_head_is_drawn_as_init_draws_it_and_the_body_is_loaded(classes):
    given = state(classes)
    params, stats = jaxcnn.from_torch(small(), given, SMALL, head="new", rng=KEY)
    assert_same(({"fc": params["fc"]},), ({"fc": jaxcnn.init(small(), KEY, SMALL)[0]["fc"]},))
    np.testing.assert_array_equal(params["conv"]["bias"], given["conv.bias"])
    np.testing.assert_array_equal(stats["bn"]["mean"], given["bn.running_mean"])


def test_a_new_head_excuses_no_other_layer():
    given = state(5)
    del given["conv.bias"]
    with pytest.raises(ValueError, match=re.escape("1 missing (conv.bias 2)")):
        jaxcnn.from_torch(small(), given, SMALL, head="new", rng=KEY)


def test_a_new_head_is_new_in_auxiliary_classifiers_too():
    def net(classes):
        return Graph((
            Node("conv", Conv(4)), Node("aux", seq(p=GlobalPool(), fc=Dense(classes)), ("conv",)),
            Node("pool", GlobalPool(), ("conv",)), Node("fc", Dense(classes), ("pool",)),
        ))  # fmt: skip

    given = jaxcnn.to_torch(net(6), *random_weights(net(6), SMALL))
    params, _ = jaxcnn.from_torch(net(4), given, SMALL, head="new", rng=KEY)
    assert params["aux.fc"]["kernel"].shape == params["fc"]["kernel"].shape == (4, 4)
    np.testing.assert_array_equal(params["conv"]["kernel"], given["conv.weight"].transpose(2, 3, 1, 0))


def test_no_layer_of_the_body_is_taken_for_a_head():
    body = seq(conv=Conv(4), pool=GlobalPool())
    given = jaxcnn.to_torch(body, *random_weights(body, SMALL), SMALL)
    with pytest.raises(ValueError, match="no 1x1 convolution ends this network: at 'conv' is"):
        jaxcnn.from_torch(body, given, SMALL, head="new", rng=KEY)
    with pytest.raises(ValueError, match=r"conv\.weight is 4x1x3x3, not 5x1x3x3\)$"):  # no advice that would not help
        jaxcnn.from_torch(seq(conv=Conv(5), pool=GlobalPool()), given, SMALL)


def test_ignored_beginnings_may_be_there():
    given = state() | {"aux1.conv.weight": np.ones(3)}
    jaxcnn.from_torch(small(), given, SMALL, ignore=("aux1.", "aux2."))


def test_the_old_names_of_densenet_are_understood():
    net = seq(features=seq(denselayer1=add(seq(norm1=BatchNorm(), conv1=Conv(1)))))
    given = {
        re.sub(r"(norm|conv)1", r"\1.1", name): array
        for name, array in jaxcnn.to_torch(net, *random_weights(net, SMALL)).items()
    }
    assert "features.denselayer1.norm.1.weight" in given
    jaxcnn.from_torch(net, given, SMALL)


def test_to_torch_says_when_it_needs_the_shape():
    with pytest.raises(ValueError, match=re.escape("shape=(H, W, C)")):
        jaxcnn.to_torch(every_leaf(), *random_weights(every_leaf(), SHAPE))


def test_to_torch_refuses_the_parameters_of_another_network():
    with pytest.raises(ValueError, match="the parameters do not fit the network: 1 of another shape"):
        jaxcnn.to_torch(seq(fc=Dense(3)), {"fc": {"kernel": np.ones((5, 4)), "bias": np.ones(3)}}, {}, (5,))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"head": "old"}, "head is 'load' or 'new', not 'old'"),
        ({"head": "new"}, "a new head needs a key"),
    ],
)
def test_wrong_options_get_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        jaxcnn.from_torch(small(), state(), SMALL, **options)


def test_what_is_no_array_is_refused():
    with pytest.raises(ValueError, match=r"fc\.bias is no array of real numbers but str"):
        jaxcnn.from_torch(small(), state() | {"fc.bias": "abc"}, SMALL)
    with pytest.raises(ValueError, match="there is no state dict"):
        jaxcnn.from_torch(small(), {}, SMALL)


@pytest.mark.parametrize("source", [None, 3, [np.ones(2)]])
def test_what_is_neither_a_dict_nor_a_path_gets_a_sentence(source):
    with pytest.raises(ValueError, match=r"^the weights are a dict of arrays or the path of a file, not \w+$"):
        jaxcnn.from_torch(small(), source, SMALL)


@pytest.mark.parametrize("shape", [4, None, (), (4, 4, 0), (4, 4, -1), (4, 4, 1.5), "441"])
def test_what_is_no_shape_of_an_example_gets_a_sentence(shape):
    with pytest.raises(ValueError, match=r"^the shape of one example is \(H, W, C\), whole numbers from 1, not "):
        jaxcnn.from_torch(small(), state(), shape)
    with pytest.raises(ValueError, match=r"^the shape of one example is \(H, W, C\), whole numbers from 1, not "):
        jaxcnn.init(small(), KEY, shape)


@pytest.mark.parametrize("shape", [[4, 4, 1], np.array([4, 4, 1]), tuple(np.int32([4, 4, 1]))])
def test_any_whole_numbers_are_a_shape(shape):
    assert_same(jaxcnn.from_torch(small(), state(), shape), jaxcnn.from_torch(small(), state(), SMALL))


@pytest.mark.parametrize("wrong", [(), (3,), (2, 3), (3, 2, 1, 2), (6,), (0, 2)])
@pytest.mark.parametrize("head", ["load", "new"])
def test_arrays_of_any_other_shape_get_a_sentence(wrong, head):
    """Of the head: where it is drawn, whatever stands in its place is left."""
    given = state() | {"fc.weight": np.ones(wrong)}
    if head == "new":
        jaxcnn.from_torch(small(), given, SMALL, head="new", rng=KEY)
    else:
        with pytest.raises(ValueError, match=r"1 of another shape \(fc\.weight is .*, not 3x2\)"):
            jaxcnn.from_torch(small(), given, SMALL)
    with pytest.raises(ValueError, match=r"1 of another shape \(conv\.weight is .*, not 2x1x3x3\)"):
        jaxcnn.from_torch(small(), state() | {"conv.weight": np.ones(wrong)}, SMALL, head=head, rng=KEY)


@pytest.mark.parametrize(
    "kind", ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "int64", "uint64", "bool", ">f4"]
)
def test_numbers_of_every_type_become_float32(kind):
    given = {name: np.ones(array.shape).astype(np.dtype(kind)) for name, array in state().items()}
    trees = jaxcnn.from_torch(small(), given, SMALL)
    assert {(array.dtype.name, float(array.min()), float(array.max())) for array in jax.tree.leaves(trees)} == {
        ("float32", 1.0, 1.0)
    }


def test_complex_numbers_are_no_weights():
    with pytest.raises(ValueError, match=r"fc\.bias is no array of real numbers but ndarray of complex64"):
        jaxcnn.from_torch(small(), state() | {"fc.bias": np.ones(3, np.complex64)}, SMALL)


def test_loaded_parameters_are_copies():
    given = state()
    params, _ = jaxcnn.from_torch(small(), given, SMALL)
    before = np.array(params["fc"]["bias"])
    given["fc.bias"][:] = -1
    np.testing.assert_array_equal(params["fc"]["bias"], before)
