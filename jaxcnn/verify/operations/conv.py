"""Convolutions, in groups or not, separable or transposed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import Operation, Terms
from jaxcnn.verify.windows import (
    CAUSAL,
    DEEP,
    DILATED,
    FAR,
    GRID,
    MANY,
    MODES,
    STRIDED,
    UNEVEN,
    Window,
    random_window,
    windows,
)

# Channels, width and groups. The wide ones make several blocks of groups.
CHANNELS = ((2, 3, 1), (6, 5, 1), (1, 2, 1), (4, 6, 2), (3, 3, 3), (2, 6, 2), (4, 4, 4))
WIDE = ((64, 64, 4), (32, 64, 2), (48, 32, 4), (40, 40, 40), (32, 16, 1), (3, 32, 1))

# Batches large enough to be cut into parts; the first are wide enough for it too.
BATCHES = ((STRIDED, 32, 32, 1), (DILATED, 32, 48, 1), (STRIDED, 4, 4, 4), (Window((7, 6), (5, 5), 1, 2), 6, 8, 1))

# Strides whose phases are seen by several places of the window each, not always by as many.
PHASES = (
    Window((8, 9), (4, 5), 2, "half"), Window((13,), (4,), 2, 3, 3), Window((11, 9), (7, 6), (3, 2), ((3, 0), (2, 4))),
    Window((4, 4, 5), (4, 4, 5), 2, 1),
)  # fmt: skip


def _conv(
    window: Window, channels: int, width: int, groups: int, bias: bool, kind: str = "normal", examples: int = 2,
    **options: Any,
) -> Setting:  # fmt: skip
    grouped = {"groups": groups} if groups > 1 else {}
    arrays = Draw((examples, *window.sizes, channels), kind), Draw((*window.window, channels // groups, width))
    return Setting((*arrays, Draw((width,)) if bias else None), window.options(**grouped, **options))


def _conv_settings(random: Random) -> Iterator[Setting]:
    for number, window in enumerate(GRID):
        yield _conv(window, *CHANNELS[0], bias=number % 2 == 0)
    for number, (channels, width, groups) in enumerate(CHANNELS[1:]):
        for window in (CAUSAL, STRIDED, DILATED, DEEP):
            yield _conv(window, channels, width, groups, bias=number % 2 == 0)
    for number, window in enumerate(FAR):
        for channels, width, groups in ((8, 8, 1), CHANNELS[0], *CHANNELS[1 + number % 2 :: 2]):
            yield _conv(window, channels, width, groups, bias=number % 2 == 0)
    for window in FAR[2:4]:
        for channels, width, groups in (*WIDE, (8, 16, 1)):
            yield _conv(window, channels, width, groups, bias=False, examples=32 if groups == 1 else 2)
    for window in PHASES:
        yield _conv(window, 8, 4, 1, bias=False)
    for channels, width, groups in WIDE:
        yield _conv(STRIDED, channels, width, groups, bias=False)
    for window, channels, width, groups in BATCHES:
        yield _conv(window, channels, width, groups, bias=False, examples=32)
    for channels, width, groups in CHANNELS[:1] + CHANNELS[4:5]:
        yield _conv(MANY, channels, width, groups, bias=True, kind="positive")
    for mode in MODES[1:]:
        for window in (CAUSAL, STRIDED, UNEVEN, DEEP):
            yield _conv(window, 2, 3, 1, bias=False, padding_mode=mode)
    yield from _random_convs(random, 22)


def _random_convs(random: Random, count: int) -> Iterator[Setting]:
    while count:
        window, mode = random_window(random), MODES[random.integers(len(MODES))]
        if window.can_pad(mode):
            options = {} if mode == "zeros" else {"padding_mode": mode}
            yield _conv(window, *CHANNELS[random.integers(len(CHANNELS))], bias=bool(random.random() < 0.5), **options)
            count -= 1


def _some_convs(random: Random) -> list[Setting]:
    return list(_conv_settings(random))[::6]


def _repeats(options: dict[str, Any], rank: int) -> int:
    """How often the padding shows one place: on both sides of every dimension, beside itself."""
    return 3**rank if isinstance(options.get("padding_mode", 0.0), str) else 1


def _conv_terms(shapes, output, options) -> Terms:
    x, kernel, bias = shapes
    places, groups = math.prod(output[:-1]), x[-1] // kernel[-2]
    window = math.prod(kernel[:-2])
    by_x = window * kernel[-1] // groups * _repeats(options, len(x) - 2)
    return window * kernel[-2], (by_x, places, places)[: 3 if bias else 2]


def _depthwise_settings(random: Random) -> Iterator[Setting]:
    fixed = [CAUSAL, STRIDED, UNEVEN, DILATED, DEEP, *GRID[:8:2], *FAR]
    chosen = [*fixed, *(random_window(random) for _ in range(12))]
    for number, window in enumerate(chosen):
        channels, multiplier = ((3, 1), (2, 2), (2, 3))[number % 3]
        arrays = Draw((2, *window.sizes, channels)), Draw((*window.window, 1, channels * multiplier))
        mode = MODES[number % len(MODES)]
        options = {"padding_mode": mode} if mode != "zeros" and window.can_pad(mode) else {}
        bias = Draw((channels * multiplier,)) if number % 2 else None
        yield Setting((*arrays, bias), window.options(**options))


def _separable_settings(random: Random) -> Iterator[Setting]:
    for setting in _depthwise_settings(random):
        x, kernel, bias = setting.arrays
        assert x is not None and kernel is not None
        pointwise = Draw((*[1] * setting.rank, kernel.shape[-1], 3))
        yield Setting((x, kernel, pointwise, Draw((3,)) if bias else None), setting.options)


def _separable_terms(shapes, output, options) -> Terms:
    x, kernel, pointwise, bias = shapes
    window, places = math.prod(kernel[:-2]), math.prod(output[:-1])
    inner, width = pointwise[-2:]
    by_x = width + window * (inner // x[-1]) * _repeats(options, len(x) - 2)
    return window + inner, (by_x, width + places, window + places, places)[: 4 if bias else 3]


TRANSPOSED = (
    Window((4,), (3,), 2, "same"), Window((5,), (2,), 3, "valid"), Window((4, 3), (3, 2), 2, "valid"),
    Window((3, 4), (3, 3), (2, 3), "same"), Window((4, 4), (1, 1), 2, "valid"), Window((3, 3), (2, 2), 1, "same", 2),
    Window((3, 2, 2), (2, 3, 2), 2, "same"), Window((2, 2, 3), (2, 2, 3), (1, 2, 3), "valid"),
)  # fmt: skip


def _transposed_settings(random: Random) -> Iterator[Setting]:
    for number, window in enumerate([*TRANSPOSED, *FAR, *windows(random, 24)]):
        stride, pairs, dilation = window.full
        words = window.padding in ("valid", "same")
        extents = [(n - 1) * s + d * (k - 1) + 1 - sum(pair) for n, s, k, d, pair in zip(
            window.sizes, stride, window.window, dilation, pairs, strict=True)]  # fmt: skip
        if not words and min(extents) < 1:  # the padding cuts everything off
            continue
        more = tuple(int(random.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True))
        channels, width, groups = CHANNELS[0] if number % 3 == 0 else CHANNELS[number % len(CHANNELS)]
        options = window.options(**({"groups": groups} if groups > 1 else {}))
        if not words and any(more) and number % 3:
            options["output_padding"] = more
        kernel = Draw((*window.window, width // groups, channels))
        yield Setting((Draw((2, *window.sizes, channels)), kernel, Draw((width,)) if number % 2 else None), options)


def _transposed_terms(shapes, output, options) -> Terms:
    x, kernel, bias = shapes
    window = math.prod(kernel[:-2])
    terms = window * x[-1] // options.get("groups", 1)
    by_arrays = window * kernel[-2], math.prod(x[:-1]), math.prod(output[:-1])
    return terms, by_arrays[: 3 if bias else 2]


OPERATIONS = (
    Operation("conv", _conv_settings, _conv_terms, linear=(0, 1, 2), step=0.5, once=True),
    Operation("convolve", _some_convs, _conv_terms, linear=(0, 1, 2), step=0.5, once=True),
    Operation("depthwise_conv", _depthwise_settings, _conv_terms, linear=(0, 1, 2), step=0.5, once=True),
    Operation("separable_conv", _separable_settings, _separable_terms, linear=(0, 1, 2, 3)),
    Operation("conv_transpose", _transposed_settings, _transposed_terms, linear=(0, 1, 2), step=0.5, once=True),
)
