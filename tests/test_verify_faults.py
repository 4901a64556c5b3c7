"""Faults put in on purpose: for each, the ledger turns red. A ledger that no fault turns red would prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxcnn import ops
from jaxcnn.ops import ways
from jaxcnn.ops.manual import alike
from jaxcnn.verify import ledger, operations


class Fault(NamedTuple):
    """What is wrong, as a function of the right operation, and the check that sees it where an option is set."""

    operation: str
    name: str
    wrong: Callable[[Callable[..., Any]], Callable[..., Any]]
    check: str = "value"
    option: str = ""
    dtype: str = "float64"


def first_red(operation: str, check: str, option: str = "", dtype: str = "float64") -> ledger.Row | None:
    """The ledger's first red case of that kind, or None where all are green."""
    cases = [
        case for case in ledger.all_cases([operation], 0)
        if case.check == check and case.dtype == dtype and (not option or option in str(case.setting))
    ]  # fmt: skip
    assert cases, f"the ledger has no case of {operation} {check} {option} {dtype}"
    return next((row for row in ledger.verified(cases, 0) if row and row.verdict == "red"), None)


def before(change: Callable[[Any], Any]):
    """The operation on an input that was changed."""
    return lambda right: lambda x, *others, **options: right(change(x), *others, **options)


def after(change: Callable[[Any], Any]):
    return lambda right: lambda *arrays, **options: change(right(*arrays, **options))


def with_option(**changed: Callable[[Any], Any]):
    """One or several options other than those that were asked for."""

    def wrong(right):
        def operation(*arrays, **options):
            return right(*arrays, **{**options, **{k: f(options[k]) for k, f in changed.items() if k in options}})

        return operation

    return wrong


def without(option: str):
    """An option that is ignored."""
    return lambda right: lambda *arrays, **options: right(*arrays, **{k: v for k, v in options.items() if k != option})


def replaced(other: Callable[..., Any]):
    return lambda right: other


def of_those_given(right, arrays, options):
    """The operation as a function of the arrays that are not None, and these."""
    given = [i for i, array in enumerate(arrays) if array is not None]

    def of(*floats):
        filled = list(arrays)
        for i, value in zip(given, floats, strict=True):
            filled[i] = value
        return right(*filled, **options)

    return of, [arrays[i] for i in given]


def wrong_gradient(change: Callable[..., Any]):
    """The right value; `change` spoils the tuple of gradients."""

    def wrong(right):
        def operation(*arrays, **options):
            of, given = of_those_given(right, arrays, options)
            spoiled = jax.custom_vjp(of)
            spoiled.defvjp(lambda *floats: jax.vjp(of, *floats), lambda back, g: change(*back(g)))
            return spoiled(*given)

        return operation

    return wrong


def forgets_curvature(right):
    """The right gradient, which is a constant to whoever differentiates it again."""

    @jax.custom_vjp
    def operation(x):
        return right(x)

    operation.defvjp(lambda x: (right(x), x), lambda x, g: tuple(map(jax.lax.stop_gradient, jax.vjp(right, x)[1](g))))
    return operation


def differs_when_traced(right):
    def operation(x, *others, **options):
        traced = isinstance(x, jax.core.Tracer)
        return right(x, *others, **options) + (1e-9 if traced else 0)

    return operation


def differs_in_batches(right):
    """A batching rule of its own, which forgets that the batch has an order."""

    @jax.custom_batching.custom_vmap
    def shift(x):
        return 0 * x

    @shift.def_vmap
    def _(size, batched, x):
        return 1e-9 * jnp.arange(size, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1)) + 0 * x, batched[0]

    return lambda x, *others, **options: right(x, *others, **options) + shift(jax.lax.stop_gradient(x)).sum()


def last_of_ties(right):
    """The right value; the gradient goes to the last of several maxima."""

    def operation(x, *others, **options):
        ramp = 1e-9 * jnp.arange(x[0, ..., 0].size, dtype=x.dtype).reshape(x.shape[1:-1])[..., None]
        value = right(x, *others, **options)
        y, other = jax.tree.leaves(value)[0], jax.tree.leaves(right(x + ramp, *others, **options))[0]
        y = jax.lax.stop_gradient(y - other) + other
        return (y, *value[1:]) if isinstance(value, tuple) else y

    return operation


def eps_outside_the_root(x, scale, bias, *, eps=1e-5, mask=None, unbiased=True):
    _, mean, variance = ops.right(x, scale, bias, eps=eps, mask=mask, unbiased=unbiased)
    y = (x - x.mean(range(x.ndim - 1))) / (x.std(range(x.ndim - 1)) + eps) * (1 if scale is None else scale) + bias
    return y, mean, variance


def statistics_are_constants(right):
    def operation(x, scale, bias, *, eps=1e-5, **options):
        _, mean, variance = right(x, scale, bias, eps=eps, **options)
        axes = tuple(range(x.ndim - 1))
        mean_of_x, variance_of_x = jax.lax.stop_gradient((x.mean(axes), x.var(axes)))
        return (x - mean_of_x) / jnp.sqrt(variance_of_x + eps) * (1 if scale is None else scale) + bias, mean, variance

    return operation


def mixed_groups(right):
    """The channels of the groups are dealt out like cards."""

    def operation(x, kernel, bias=None, *, groups=1, **options):
        return right(ops.channel_shuffle(x, groups), kernel, bias, groups=groups, **options)

    return operation


def half_precision(right):
    def operation(*arrays, **options):
        rough = [a if a is None else a.astype(jnp.bfloat16).astype(a.dtype) for a in arrays]
        return right(*rough, **options)

    return operation


def roll(x):
    """Everything one place late."""
    return jnp.roll(x, 1, axis=1)


def kernel_by(change):
    return lambda right: lambda x, kernel, *others, **options: right(x, change(kernel), *others, **options)


def swap_last(kernel):
    return jnp.flip(kernel, -1)


def without_bias(right):
    return lambda x, depthwise, pointwise, bias=None, **options: right(x, depthwise, pointwise, **options)


def wrong_way(right):
    return lambda x, groups: right(x, x.shape[-1] // groups)


def without_bias_gradient(dx, dh, *bias):
    return dx, dh, *(0 * of_bias for of_bias in bias)


def naive_lp(right):
    """Without care for the root at zero, which has no derivative there."""

    def operation(x, window, stride=None, *, p=2.0, **options):
        options["count_include_pad"] = True
        places = jnp.prod(jnp.array(window)) if not isinstance(window, int) else window ** (x.ndim - 2)
        return (ops.avg_pool(jnp.abs(x) ** p, window, stride, **options) * places) ** (1 / p)

    return operation


def outside_counts(right):
    """The windows that run over the end divide by all their places."""

    def operation(x, window, stride=None, **options):
        ones = right(jnp.ones_like(x), window, stride, **{**options, "count_include_pad": True})
        inside = jax.lax.stop_gradient(ones)
        return right(x, window, stride, **options) * jnp.where(inside == 1, 0.5, 1)

    return operation


def unpool_keeps_one(x, indices, sizes):
    flat = jnp.zeros((len(x), int(jnp.prod(jnp.array(sizes))), x.shape[-1]), x.dtype)
    n, c = jnp.arange(len(x))[:, None, None], jnp.arange(x.shape[-1])
    shape = (len(x), -1, x.shape[-1])
    return flat.at[n, indices.reshape(shape), c].set(x.reshape(shape)).reshape(len(x), *sizes, x.shape[-1])


def sums_to_square(right):
    return lambda x, *, alpha=1e-4, size=5, **options: right(x, alpha=alpha * size, size=size, **options)


def moves_too_far(right):
    """The right value and gradient; in forward mode a millionth too much."""

    def operation(*arrays, **options):
        of, given = of_those_given(right, arrays, options)

        def moving(primals, tangents):
            (y, moved), back = jax.linearize(of, *primals), jax.vjp(of, *primals)[1]
            farther = lambda _, along: moved(*along) * (1 + 1e-6)  # noqa: E731
            return y, jax.custom_derivatives.linear_call(farther, lambda _, g: back(g), (), tuple(tangents))

        function = jax.custom_jvp(of)
        function.defjvp(moving)
        return function(*given)

    return operation


def per_element(right):
    return lambda x, rate, rng: ops.dropout(x, rate, rng)


def always_one_key(right):
    return lambda x, rate, rng: right(x, rate, jax.random.key(0))


FAULTS = [
    Fault("conv", "the kernel is flipped", kernel_by(lambda h: jnp.flip(h, range(h.ndim - 2)))),
    Fault("conv", "everything one place late", before(roll)),
    Fault("conv", "the dilation is ignored", without("dilation"), option="dilation"),
    Fault("conv", "the groups are mixed", mixed_groups, option="groups=2"),
    Fault("conv", "reflect repeats the border", with_option(padding_mode=lambda _: "replicate"), option="reflect"),
    Fault("conv", "same pads before", with_option(padding=lambda _: "causal"), option="padding=same"),
    Fault("conv", "the input's gradient is not transposed", wrong_gradient(lambda dx, *o: (roll(dx), *o)), "gradient"),
    Fault("conv", "the bias gets a mean", wrong_gradient(lambda dx, dh, *o: (dx, dh, *(b / 2 for b in o))), "gradient"),
    Fault("conv", "the kernel's gradient is scaled", wrong_gradient(lambda dx, dh, *o: (dx, 2 * dh, *o)), "transpose"),
    Fault("conv", "one part in a million is lost", wrong_gradient(lambda dx, *o: (dx * (1 - 1e-6), *o)), "difference"),
    Fault("conv", "computed in half precision", half_precision, dtype="float32"),
    Fault("conv", "a constant under jit", differs_when_traced, "jit"),
    Fault("conv", "an order in the batch", differs_in_batches, "vmap"),
    Fault("conv", "a constant in scan", differs_when_traced, "scan"),
    Fault("conv", "a constant over devices", differs_when_traced, "sharded"),
    Fault("conv", "a constant in shard_map", differs_when_traced, "shard_map"),
    Fault("conv", "forward mode goes too far", moves_too_far, "jvp"),
    Fault("max_pool", "forward mode goes too far", moves_too_far, "jvp"),
    Fault("convolve", "the kernel is not flipped", replaced(ops.conv)),
    Fault("depthwise_conv", "kernels in another order", kernel_by(swap_last)),
    Fault("separable_conv", "the pointwise bias is lost", without_bias),
    Fault("separable_conv", "the stride is ignored", without("stride"), option="stride"),
    Fault("conv_transpose", "output_padding is ignored", without("output_padding"), option="output_padding"),
    Fault("conv_transpose", "same cut at the other end", after(roll), option="padding=same"),
    Fault("conv_transpose", "the groups are mixed", mixed_groups, option="groups=2"),
    Fault("max_pool", "ties go to the last", last_of_ties, "gradient", "ties"),
    Fault("max_pool", "NaN is skipped", before(lambda x: jnp.nan_to_num(x, nan=-jnp.inf)), option="nan"),
    Fault("max_pool", "padding is zero", after(lambda y: jnp.maximum(y, 0)), option="padding"),
    Fault("max_pool", "the end is cut off", without("ceil_mode"), option="ceil_mode"),
    Fault("max_pool", "the second derivative is not zero",
          lambda right: lambda x, window, **o: right(x, window, **o) * (1 + 1e-3 * (right(x, window, **o) - 1)),
          "PyTorch"),
    Fault("max_pool_with_indices", "ties go to the last", last_of_ties, "gradient", "ties"),
    Fault("max_pool_with_indices", "indices count from one", after(lambda found: (found[0], found[1] + 1))),
    Fault("max_unpool", "one of several values is kept", replaced(unpool_keeps_one)),
    Fault("avg_pool", "padding counts when it should not", with_option(count_include_pad=lambda _: True),
          option="count_include_pad=False"),
    Fault("avg_pool", "the places past the end count", outside_counts, option="ceil_mode"),
    Fault("lp_pool", "p is ignored", without("p"), option="p="),
    Fault("lp_pool", "no gradient at zero", naive_lp, "gradient", "zeros"),
    Fault("adaptive_avg_pool", "the bins are one place late", before(roll)),
    Fault("adaptive_max_pool", "ties go to the last", last_of_ties, "gradient", "ties"),
    Fault("global_avg_pool", "one place is not counted", before(lambda x: x.at[:, 0].set(0))),
    Fault("global_max_pool", "ties go to the last", last_of_ties, "gradient", "ties"),
    Fault("batch_norm", "biased where unbiased", with_option(unbiased=lambda wanted: True), option="unbiased=False"),
    Fault("batch_norm", "the mask is ignored", with_option(mask=lambda _: None), option="mask"),
    Fault("batch_norm", "eps is added to the deviation", replaced(eps_outside_the_root), option="eps"),
    Fault("batch_norm", "the statistics are constants", statistics_are_constants, "gradient"),
    Fault("batch_norm", "the statistics are constants", statistics_are_constants, "difference"),
    Fault("normalize", "eps is ignored", without("eps"), option="eps"),
    Fault("running_average", "old and new change places", lambda right: lambda old, new, **o: right(new, old, **o)),
    Fault("layer_norm", "eps is ignored", without("eps"), option="eps"),
    Fault("layer_norm", "variance of a sample", lambda right: lambda x, s=None, b=None, *, eps=1e-6: (
        (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True, ddof=1) + eps) * (1 if s is None else s)
        + (0 if b is None else b))),
    Fault("local_response_norm", "the window leans the other way",
          lambda right: lambda x, **o: jnp.flip(right(jnp.flip(x, -1), **o), -1), option="size=4"),
    Fault("local_response_norm", "alpha is not divided", sums_to_square),
    Fault("dense", "the bias has no gradient", wrong_gradient(without_bias_gradient), "gradient"),
    Fault("dense", "the kernel's outputs in another order", kernel_by(swap_last)),
    Fault("radial_basis", "not squared", lambda right: lambda x, c: -jnp.abs(x[..., None] - c).sum(-2)),
    Fault("radial_basis", "the centers have no gradient",
          lambda right: lambda x, c: right(x, jax.lax.stop_gradient(c)), "gradient"),
    Fault("channel_shuffle", "transposed the wrong way", wrong_way),
    Fault("upsample", "corners are not aligned", without("align_corners"), option="align_corners"),
    Fault("upsample", "half a place late", before(roll)),
    Fault("dropout", "survivors are not enlarged", lambda right: lambda x, rate, rng: right(x, rate, rng) * (1 - rate),
          "survivors"),
    Fault("dropout", "all keys are one", always_one_key, "keys"),
    Fault("dropout", "what lives would die", lambda right: lambda x, rate, rng: right(x, 1 - rate, rng), "fraction",
          "rate=0.1"),
    Fault("dropout", "no gradient is enlarged", wrong_gradient(lambda dx, *o: (dx / 2, *o)), "mask gradient"),
    Fault("spatial_dropout", "every element for itself", per_element, "survivors"),
    Fault("stochastic_depth", "every element for itself", per_element, "survivors"),
    Fault("stochastic_depth", "too few die", lambda right: lambda x, rate, rng: right(x, rate / 3, rng), "fraction"),
]  # fmt: skip

IN_PLACE_OF: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.leaky_relu, "relu6": jax.nn.relu, "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2),
    "elu": jax.nn.selu, "silu": jax.nn.gelu, "gelu": jax.nn.gelu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=False),
    "tanh": jax.nn.soft_sign, "scaled_tanh": jnp.tanh, "sigmoid": jax.nn.hard_sigmoid,
    "hard_sigmoid": lambda x: jnp.clip(0.2 * x + 0.5, 0, 1), "hard_swish": jax.nn.silu, "softplus": jax.nn.relu,
    "softmax": jax.nn.log_softmax,
}  # fmt: skip


def test_every_operation_has_a_fault():
    assert {fault.operation for fault in FAULTS} | set(IN_PLACE_OF) == set(operations.OPERATIONS)


@pytest.mark.every(3)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.operation}: {fault.name}")
def test_a_fault_turns_the_ledger_red(fault: Fault, monkeypatch):
    right = getattr(ops, fault.operation)
    monkeypatch.setattr(ops, "right", right, raising=False)
    monkeypatch.setattr(ops, fault.operation, fault.wrong(right))
    row = first_red(fault.operation, fault.check, fault.option, fault.dtype)
    assert row is not None
    assert row.note == "" or "shape" in row.note or "mask" in row.note, "the fault does not compute, it fails"


@pytest.mark.parametrize("name", IN_PLACE_OF)
def test_another_activation_in_its_place_turns_the_ledger_red(name: str, monkeypatch):
    monkeypatch.setitem(ops.ACTIVATIONS, name, IN_PLACE_OF[name])
    assert first_red(name, "value") is not None


def test_a_gradient_that_is_a_constant_turns_the_second_derivative_red(monkeypatch):
    monkeypatch.setitem(ops.ACTIVATIONS, "silu", forgets_curvature(jax.nn.silu))
    assert first_red("silu", "gradient") is None
    assert first_red("silu", "second derivative") is not None


@pytest.mark.slow
def test_a_gradient_that_knows_nothing_of_axes_turns_shard_map_red(monkeypatch):
    """Where every device hands a gradient of its own back to a kernel that they share: jax refuses it."""
    not_summed = wrong_gradient(lambda dx, dh, *others: (dx, alike(dh, dx)[0], *others))
    monkeypatch.setattr(ops, "conv", not_summed(ops.conv))
    assert first_red("conv", "gradient") is None
    row = first_red("conv", "shard_map")
    assert row is not None and "Custom VJP bwd rule" in row.note


@pytest.mark.parametrize(
    ("product", "table"),
    [("forward", ways.FORWARD), ("input gradient", ways.INPUT_GRADIENT), ("kernel gradient", ways.KERNEL_GRADIENT)],
)
def test_a_fault_in_any_way_to_compute_a_product_turns_its_own_check_red(product, table):
    rules = list(table)
    try:
        for number, way in enumerate(rules):
            table[number] = way._replace(compute=lambda *given, way=way: way.compute(*given) * (1 + 1e-9))
            assert first_red("conv", f"{product} by {way.name}") is not None, way.name
    finally:
        table[:] = rules
