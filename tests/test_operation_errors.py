"""What an operation cannot compute is a ValueError that names the operation, the numbers and the rule."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import pytest

from jaxcnn import ops

X = jnp.ones((2, 6, 6, 4))
VECTORS = jnp.ones((2, 4))
INTEGERS = jnp.ones((2, 6, 6, 4), jnp.int32)
KEY = jax.random.key(0)


def kernel(*shape: int, dtype=jnp.float32):
    return jnp.ones(shape, dtype)


CASES = {
    "conv of a vector": (lambda: ops.conv(VECTORS, kernel(3, 4)), r"conv takes x of \(N, 1 to 3 spatial"),
    "conv of integers": (lambda: ops.conv(INTEGERS, kernel(3, 3, 4, 4)), "conv takes floating point arrays, not int32"),
    "conv of two dtypes": (lambda: ops.conv(X, kernel(3, 3, 4, 4, dtype=jnp.bfloat16)), "one dtype, not float32 and"),
    "conv in 3 groups": (lambda: ops.conv(X, kernel(3, 3, 4, 6), groups=3), "4 channels in 3 groups needs a kernel"),
    "conv of a wrong bias": (lambda: ops.conv(X, kernel(3, 3, 4, 5), kernel(4)), r"bias of \(5,\), not \(4,\)"),
    "conv without room": (lambda: ops.conv(X, kernel(7, 7, 4, 4)), "conv: a window of 7x7 .* does not fit into .* 6x6"),
    "conv of stride 0": (lambda: ops.conv(X, kernel(3, 3, 4, 4), stride=0), "conv: stride .* at least 1.*not 0"),
    "convolve of a vector": (lambda: ops.convolve(VECTORS, kernel(3, 4)), "conv takes x of"),
    "depthwise with inputs": (lambda: ops.depthwise_conv(X, kernel(3, 3, 4, 4)), "4 channels in 4 groups needs"),
    "separable of a wrong pair": (
        lambda: ops.separable_conv(X, kernel(3, 3, 1, 8), kernel(1, 1, 4, 5)),
        "conv of 8 channels in 1 groups needs a kernel",
    ),
    "transposed of other channels": (
        lambda: ops.conv_transpose(X, kernel(3, 3, 5, 3)),
        r"conv_transpose of 4 channels in 1 groups needs a kernel of \(\*window, width/1, 4\), not \(3, 3, 5, 3\)",
    ),
    "transposed with too much output padding": (
        lambda: ops.conv_transpose(X, kernel(3, 3, 5, 4), stride=2, output_padding=2),
        r"output_padding \(2, 2\) must be less than stride \(2, 2\) or dilation \(1, 1\)",
    ),
    "transposed with a size said twice": (
        lambda: ops.conv_transpose(X, kernel(3, 3, 5, 4), stride=2, padding="same", output_padding=1),
        "'same' sets the size; output_padding must be 0",
    ),
    "transposed to nothing": (lambda: ops.conv_transpose(X, kernel(1, 1, 5, 4), padding=3), r"leaves \(0, 0\)"),
    "max_pool of vectors": (lambda: ops.max_pool(VECTORS, 2), r"max_pool takes .* not \(2, 4\)"),
    "max_pool of integers": (lambda: ops.max_pool(INTEGERS, 2), "max_pool takes floating point arrays"),
    "max_pool without room": (lambda: ops.max_pool(X, 7), "max_pool: a window of 7x7"),
    "max_pool of padding only": (lambda: ops.max_pool(X, 2, padding=2), "max_pool .* nothing but padding"),
    "indices of padding only": (lambda: ops.max_pool_with_indices(X, 2, padding=2), "nothing but padding"),
    "max_unpool of other indices": (
        lambda: ops.max_unpool(X, jnp.zeros((2, 6, 6, 3), int), (12, 12)),
        "max_unpool takes integer indices of x's shape",
    ),
    "max_unpool to one size": (
        lambda: ops.max_unpool(X, jnp.zeros(X.shape, int), (12,)),
        "max_unpool.s size must be .* or 2 of them",
    ),
    "avg_pool of a window too many": (lambda: ops.avg_pool(X, (2, 2, 2)), "avg_pool: window .* or 2 of them"),
    "lp_pool of half a power": (
        lambda: ops.lp_pool(X, 2, p=0.5),
        "lp_pool needs p of at least 1, or infinity, not 0.5",
    ),
    "lp_pool of no power": (lambda: ops.lp_pool(X, 2, p=0), "p of at least 1, or infinity, not 0"),
    "lp_pool of less": (lambda: ops.lp_pool(X, 2, p=-float("inf")), "p of at least 1, or infinity, not -inf"),
    "lp_pool of NaN": (lambda: ops.lp_pool(X, 2, p=float("nan")), "p of at least 1, or infinity, not nan"),
    "lp_pool of a word": (lambda: ops.lp_pool(X, 2, p="inf"), "p of at least 1, or infinity, not 'inf'"),  # type: ignore
    "lp_pool of vectors": (lambda: ops.lp_pool(VECTORS, 2), "lp_pool takes"),
    "adaptive_avg_pool to nothing": (lambda: ops.adaptive_avg_pool(X, 0), "adaptive_avg_pool's size must be"),
    "adaptive_max_pool to three sizes": (lambda: ops.adaptive_max_pool(X, (1, 2, 3)), "adaptive_max_pool's size"),
    "global_avg_pool of vectors": (lambda: ops.global_avg_pool(VECTORS), "global_avg_pool takes"),
    "global_max_pool of vectors": (lambda: ops.global_max_pool(VECTORS), "global_max_pool takes"),
    "batch_norm of a wrong scale": (
        lambda: ops.batch_norm(X, kernel(3), kernel(4)),
        r"batch_norm of \(2, 6, 6, 4\) takes a scale of \(4,\), not \(3,\)",
    ),
    "batch_norm of a wrong mask": (
        lambda: ops.batch_norm(X, None, kernel(4), mask=kernel(3)),
        r"takes a mask of \(2,\), not \(3,\)",
    ),
    "batch_norm of integers": (lambda: ops.batch_norm(INTEGERS, None, kernel(4)), "batch_norm takes floating"),
    "normalize by a wrong mean": (lambda: ops.normalize(X, kernel(3), kernel(4), None, kernel(4)), "takes a mean"),
    "layer_norm of a wrong bias": (lambda: ops.layer_norm(X, None, kernel(5)), r"takes a bias of \(4,\), not \(5,\)"),
    "local_response_norm of no channels": (
        lambda: ops.local_response_norm(X, size=0),
        "size must be .* at least 1, not 0",
    ),
    "dense of other features": (lambda: ops.dense(VECTORS, kernel(3, 2)), r"kernel of \(4, width\), not \(3, 2\)"),
    "dense of a wrong bias": (lambda: ops.dense(VECTORS, kernel(4, 2), kernel(4)), r"bias of \(2,\), not \(4,\)"),
    "radial_basis of other centers": (lambda: ops.radial_basis(VECTORS, kernel(3, 2)), r"centers of \(4, width\)"),
    "dropout of everything": (lambda: ops.dropout(X, 1.0, KEY), r"dropout's rate must be in \[0, 1\), not 1.0"),
    "spatial_dropout below nothing": (lambda: ops.spatial_dropout(X, -0.1, KEY), "rate must be"),
    "stochastic_depth of everything": (lambda: ops.stochastic_depth(X, 1.0, KEY), "stochastic_depth's rate"),
    "channel_shuffle in 3 groups": (lambda: ops.channel_shuffle(X, 3), "4 channels needs groups that divide them"),
    "upsample by a fraction": (lambda: ops.upsample(X, 1.5), "upsample's scale must be an integer"),  # type: ignore
    "upsample cubically": (lambda: ops.upsample(X, 2, method="cubic"), "'cubic' is not one of nearest, bilinear"),
    "upsample nearest corners": (lambda: ops.upsample(X, 2, align_corners=True), "align_corners is for method"),
    "an unknown activation": (lambda: ops.activation("rely"), "'rely' is not one of relu"),
}


# One takes whatever can be multiplied and added; the others are how the operations read their arguments.
WITHOUT_ERRORS = {"running_average", "per_dimension", "slide", "transposed_window"}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_work_is_an_error_with_the_numbers(case: str):
    compute, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        compute()


def test_every_operation_has_a_case(monkeypatch):
    """Each case's operation is the one that the case calls."""
    reached: set[str] = set()

    def noting(name, function):
        def call(*given, **options):
            reached.add(name)
            return function(*given, **options)

        return call

    public = {name: getattr(ops, name) for name in ops.__all__ if inspect.isfunction(getattr(ops, name))}
    for name, function in public.items():
        monkeypatch.setattr(ops, name, noting(name, function))
    for compute, _ in CASES.values():
        with pytest.raises(ValueError):
            compute()
    assert set(public) - reached == WITHOUT_ERRORS
