"""The C++ program's handlers look at what they are given: what is wrong is an error of the call, not of the process."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler

from jaxcnn.ops import native

WINDOW_OF_256 = {"slide": (16, 16, 2, 2, 0, 0, 1, 1)}


class Call(NamedTuple):
    """Shapes of the arguments and of the results, each with its dtype, and the attributes."""

    arguments: tuple
    results: tuple
    attributes: dict = {}  # noqa: RUF012


def call(handler: str, given: Call):
    def described(array):
        shape, dtype = array if array and isinstance(array[-1], str) else (array, "float32")
        return jax.ShapeDtypeStruct(shape, dtype)

    arguments = [jnp.ones(array.shape, array.dtype) for array in map(described, given.arguments)]
    results = [described(array) for array in given.results]
    attributes = {
        name: np.int64(value) if isinstance(value, int) else np.asarray(value, np.int64)
        for name, value in given.attributes.items()
    }
    run = jax.ffi.ffi_call(f"jaxcnn_{handler}", results)
    return jax.block_until_ready(jax.jit(lambda *arrays: run(*arrays, **attributes))(*arguments))


X, KERNEL, Y = (2, 6, 6, 4), (3, 3, 4, 5), (2, 6, 6, 5)
CONV = {"stride": (1, 1), "before": (1, 1), "dilation": (1, 1), "groups": 1}
PRODUCTS = {
    "forward": Call((X, KERNEL), (Y,), CONV),
    "input_gradient": Call((Y, KERNEL), (X,), CONV),
    "kernel_gradient": Call((X, Y), (KERNEL,), CONV),
}
POOL = {"slide": (2, 2, 2, 2, 0, 0, 1, 1)}
SMALL, COUNTS = (2, 3, 3, 4), {**POOL, "counts": (2,) * 6}
PICTURE, MATRIX, FILL, BOX = ((6, 8, 3), "uint8"), (3, 3), ((3,), "uint8"), ((4,), "int32")
PICTURES = {  # all arrays are ones, so also the box: top, left, height, width
    "warp": Call((PICTURE, MATRIX, FILL), (PICTURE,), {"nearest": 0}),
    "resized_crop": Call((PICTURE, BOX), (((5, 5, 3), "uint8"),)),
}
PHOTOGRAPHS, TODO = ((2, 6, 6, 3), "uint8"), ((2, 4), "int32")
COLORS = {
    "recolor": Call((PHOTOGRAPHS, TODO, TODO), (PHOTOGRAPHS,)),
    "mean_color": Call((PHOTOGRAPHS,), (((2, 3), "uint8"),)),
    "blur": Call((PHOTOGRAPHS, (2, 5)), (PHOTOGRAPHS,)),
    "random_bits": Call((((3, 2), "uint32"),), (((3, 7), "uint32"),)),
}
GOOD = {
    **PRODUCTS,
    **PICTURES,
    "maximum": Call((X,), (SMALL,), POOL),
    "first_maximum": Call((X,), (SMALL, (SMALL, "uint8")), POOL),
    "to_maximum": Call((SMALL, (SMALL, "uint8")), (X,), POOL),
    "mean": Call((X,), (SMALL,), COUNTS),
    "spread": Call((SMALL,), (X,), COUNTS),
    "moments": Call(((2, 9, 4), (2, 9, 4), (4,)), ((2, 2, 4),)),
    "sums": Call(((2, 9, 4), (2, 9, 4), (4,)), ((2, 2, 4),)),
    "norm": Call(((3,), (2, 2)), ((),)),
    **COLORS,
}


@needs_a_compiler
def test_every_handler_is_tried_and_takes_what_is_right():
    assert set(GOOD) == set(native.HANDLERS)
    for handler, given in GOOD.items():
        assert len(call(handler, given)) == len(given.results)


def with_attributes(given: Call, **attributes) -> Call:
    return given._replace(attributes={**given.attributes, **attributes})


def in_integers(given: Call) -> Call:
    return Call(*([(shape, "int32") for shape in shapes] for shapes in given[:2]), given.attributes)  # type: ignore


TWO = ((2, 6, 6, 2), "uint8")
BAD = {
    **{f"{name} of integers": (name, in_integers(given), "float32 or float64")
       for name, given in GOOD.items() if "first" not in name and "to_" not in name and name not in PICTURES | COLORS},
    **{f"{name} of floats": (name, given._replace(arguments=(PICTURE[0], *given.arguments[1:])), "uint8")
       for name, given in PICTURES.items()},
    **{f"{name} into other channels": (name, given._replace(results=(((5, 5, 2), "uint8"),)), "number of channels")
       for name, given in PICTURES.items()},
    **{f"{name} of two dimensions": (name, given._replace(arguments=(((6, 8), "uint8"), *given.arguments[1:])),
                                     "H, W, C") for name, given in PICTURES.items()},
    **{f"{name} of fewer images": (name, given._replace(arguments=(((2, 6, 8, 3), "uint8"), *given.arguments[1:]),
                                                        results=(((2, 5, 5, 3), "uint8"),)), "vmap")
       for name, given in PICTURES.items()},
    "a matrix of one row": ("warp", Call((PICTURE, (1, 3), FILL), (PICTURE,), {"nearest": 0}), r"\(3, 3\)"),
    "a matrix of integers": ("warp", Call((PICTURE, (MATRIX, "int32"), FILL), (PICTURE,), {"nearest": 0}), "float32"),
    "a fill of floats": ("warp", Call((PICTURE, MATRIX, (3,)), (PICTURE,), {"nearest": 0}), "fill must be of uint8"),
    "a fill of one channel": ("warp", Call((PICTURE, MATRIX, ((1,), "uint8")), (PICTURE,), {"nearest": 0}),
                              "every channel"),
    "a box of floats": ("resized_crop", Call((PICTURE, (4,)), (((5, 5, 3), "uint8"),)), "boxes are of int32"),
    "a box of two numbers": ("resized_crop", Call((PICTURE, ((2,), "int32")), (((5, 5, 3), "uint8"),)), "boxes are of"),
    "a box beyond its image": ("resized_crop", Call((((1, 8, 3), "uint8"), BOX), (((5, 5, 3), "uint8"),)), "must lie"),
    **{f"{name} of three dimensions": (name, Call(*([shape[1:] for shape in shapes] for shapes in given[:2]), CONV),
                                       "four dimensions") for name, given in PRODUCTS.items()},
    **{f"{name} of one stride": (name, with_attributes(given, stride=(1,)), "two numbers each")
       for name, given in PRODUCTS.items()},
    **{f"{name} of a stride of 0": (name, with_attributes(given, stride=(1, 0)), "1 or more")
       for name, given in PRODUCTS.items()},
    **{f"{name} of 3 groups": (name, with_attributes(given, groups=3), "channels") for name, given in PRODUCTS.items()},
    **{f"{name} of 0 groups": (name, with_attributes(given, groups=0), "channels") for name, given in PRODUCTS.items()},
    **{f"{name} of a huge dilation": (name, with_attributes(given, dilation=(2**30, 2**30)), "into no memory")
       for name, given in PRODUCTS.items()},
    "two dtypes": ("forward", Call((X, (KERNEL, "int32")), (Y,), CONV), "one dtype"),
    "fewer images": ("forward", Call((X, KERNEL), ((1, 6, 6, 5),), CONV), "number of images"),
    "other outputs": ("kernel_gradient", Call((X, Y), ((3, 3, 4, 6),), CONV), "number of outputs"),
    "another rank": ("forward", Call((X, (1, *KERNEL)), (Y,), CONV), "one rank"),
    "another size under vmap": ("forward", Call(((3, *X), (2, *KERNEL)), ((3, *Y),), CONV), "vmap"),
    **{f"{name} of a slide of six numbers": (name, with_attributes(GOOD[name], slide=(2, 2, 2, 2, 0, 0)), "eight")
       for name in ("maximum", "first_maximum", "to_maximum", "mean", "spread")},
    **{f"{name} of a stride of 0": (name, with_attributes(GOOD[name], slide=(2, 2, 0, 2, 0, 0, 1, 1)), "1 or more")
       for name in ("maximum", "first_maximum", "to_maximum", "mean", "spread")},
    **{f"{name} of few counts": (name, with_attributes(GOOD[name], counts=(2,) * 5), "count for every row")
       for name in ("mean", "spread")},
    **{f"{name} of padding alone": (name, with_attributes(GOOD[name], slide=(2, 2, 2, 2, 2, 0, 1, 1)), "but padding")
       for name in ("maximum", "first_maximum", "mean")},
    "other channels": ("maximum", Call((X,), ((2, 3, 3, 5),), POOL), "number of images and of channels"),
    "pools of three dimensions": ("maximum", Call((X[1:],), (SMALL[1:],), POOL), "N, H, W, C"),
    "numbers of int32": ("to_maximum", Call((SMALL, (SMALL, "int32")), (X,), POOL), "uint8"),
    "fewer numbers": ("to_maximum", Call((SMALL, ((2, 3, 3, 1), "uint8")), (X,), POOL), "uint8"),
    "a window of 256": ("first_maximum", GOOD["first_maximum"]._replace(attributes=WINDOW_OF_256), "255"),
    "other gradients": ("sums", Call(((2, 8, 4), (2, 9, 4), (4,)), ((2, 2, 4),)), "twice"),
    "another shift": ("moments", Call(((2, 9, 4), (2, 9, 4), (3,)), ((2, 2, 4),)), "shift"),
    "colors of floats": ("recolor", Call(((2, 6, 6, 3), TODO, TODO), ((2, 6, 6, 3),)), "of uint8"),
    "operations of floats": ("recolor", Call((PHOTOGRAPHS, (2, 4), TODO), (PHOTOGRAPHS,)), "of int32"),
    "another size of colors": ("recolor", Call((PHOTOGRAPHS, TODO, TODO), (((2, 6, 5, 3), "uint8"),)), "size"),
    "colors of two channels": ("recolor", Call((TWO, TODO, TODO), (TWO,)), "one channel or three"),
    "fewer amounts": ("recolor", Call((PHOTOGRAPHS, TODO, ((2, 3), "int32")), (PHOTOGRAPHS,)), "an amount"),
    "operations of one image": ("recolor", Call((PHOTOGRAPHS, *[((4,), "int32")] * 2), (PHOTOGRAPHS,)), "vmap"),
    "operations of more images": ("recolor", Call((PHOTOGRAPHS, *[((3, 4), "int32")] * 2), (PHOTOGRAPHS,)), "vmap"),
    "a mean of floats": ("mean_color", Call(((2, 6, 6, 3),), ((2, 3),)), "of uint8"),
    "a mean of other channels": ("mean_color", Call((PHOTOGRAPHS,), (((2, 4), "uint8"),)), "channels"),
    "a mean of other images": ("mean_color", Call((PHOTOGRAPHS,), (((3, 3), "uint8"),)), "vmap"),
    "a mean of no pixel": ("mean_color", Call((((2, 0, 6, 3), "uint8"),), (((2, 3), "uint8"),)), "a pixel"),
    "a mean that is an image": ("mean_color", Call((PHOTOGRAPHS,), (PHOTOGRAPHS,)), "vmap"),
    "a blur of floats": ("blur", Call(((2, 6, 6, 3), (2, 5)), ((2, 6, 6, 3),)), "of uint8"),
    "a blur by integers": ("blur", Call((PHOTOGRAPHS, ((2, 5), "int32")), (PHOTOGRAPHS,)), "of float32"),
    "a blur to another size": ("blur", Call((PHOTOGRAPHS, (2, 5)), (((2, 6, 5, 3), "uint8"),)), "size"),
    "a blur by one image's weights": ("blur", Call((PHOTOGRAPHS, (5,)), (PHOTOGRAPHS,)), "vmap"),
    "a blur by an even number": ("blur", Call((PHOTOGRAPHS, (2, 4)), (PHOTOGRAPHS,)), "odd"),
    "a blur that looks too far": ("blur", Call((PHOTOGRAPHS, (2, 13)), (PHOTOGRAPHS,)), "less far"),
    "bits by floats": ("random_bits", Call(((3, 2),), (((3, 7), "uint32"),)), "of uint32"),
    "bits by a key of three": ("random_bits", Call((((3, 3), "uint32"),), (((3, 7), "uint32"),)), "keys are"),
    "bits of one dimension": ("random_bits", Call((((3, 2), "uint32"),), (((7,), "uint32"),)), "keys are"),
    "bits by fewer keys": ("random_bits", Call((((3, 2), "uint32"),), (((4, 7), "uint32"),)), "vmap"),
    "a norm of many numbers": ("norm", Call(((3,),), ((2,),)), "one number"),
}  # fmt: skip


@needs_a_compiler
@pytest.mark.parametrize("why", BAD)
def test_what_is_wrong_is_an_error_that_says_so(why: str):
    handler, given, sentence = BAD[why]
    with pytest.raises(jax.errors.JaxRuntimeError, match=f"INVALID_ARGUMENT.*{sentence}"):
        call(handler, given)


@needs_a_compiler
@pytest.mark.parametrize("product", PRODUCTS)
def test_memory_that_is_not_there_is_an_error_also_in_another_thread(product: str):
    """A petabyte, more than the addresses of a process: the copy of every image is asked for by the thread at work."""
    given = with_attributes(PRODUCTS[product], dilation=(2**22, 2**22))
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"RESOURCE_EXHAUSTED.*memory"):
        call(product, given)
    assert call(product, PRODUCTS[product])  # and the process goes on


@needs_a_compiler
@pytest.mark.parametrize("number", [-1, 13])
def test_an_operation_that_there_is_not_is_an_error(number: int):
    image, result = jnp.zeros((4, 4, 3), jnp.uint8), jax.ShapeDtypeStruct((4, 4, 3), "uint8")
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"INVALID_ARGUMENT.*no operation of this number"):
        numbers = jnp.array([number], jnp.int32)
        jax.block_until_ready(jax.ffi.ffi_call("jaxcnn_recolor", result)(image, numbers, numbers))
