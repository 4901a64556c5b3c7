"""Settings of sliding windows: a fixed grid with every feature in it, and random ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jaxcnn.verify.loops import loops
from jaxcnn.verify.setting import Random

WORDS = ("valid", "half", "same", "full", "causal")
MODES: tuple[Any, ...] = ("zeros", "reflect", "replicate", "circular", 1.5)


@dataclass(frozen=True)
class Window:
    """A window over images of some size, as the operations are told of it."""

    sizes: tuple[int, ...]
    window: tuple[int, ...]
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1

    @property
    def rank(self) -> int:
        return len(self.sizes)

    @property
    def full(self) -> tuple[Any, ...]:
        """Stride, pairs and dilation, one for every dimension."""
        each, pairs_of = loops()["per_dimension"], loops()["pairs_of"]
        stride, dilation = each(self.stride, self.rank), each(self.dilation, self.rank)
        return stride, pairs_of(self.padding, self.sizes, self.window, stride, dilation), dilation

    @property
    def fits(self) -> bool:
        stride, pairs, dilation = self.full
        return min(loops()["output_sizes"](self.sizes, self.window, stride, pairs, dilation)) > 0

    @property
    def sees_the_image_everywhere(self) -> bool:
        """No window of at least one holds nothing but padding."""
        _, pairs, dilation = self.full
        return all(max(pair) <= (k - 1) * d // 2 for pair, k, d in zip(pairs, self.window, dilation, strict=True))

    def can_pad(self, mode: Any) -> bool:
        """A reflection reaches to the other border, a circle once around."""
        reach = {"reflect": -1, "circular": 0}.get(mode, 99)
        return all(max(pair) <= n + reach for pair, n in zip(self.full[1], self.sizes, strict=True))

    def options(self, **others: Any) -> dict[str, Any]:
        """Those that differ from the defaults."""
        named = {"stride": (self.stride, 1), "padding": (self.padding, 0), "dilation": (self.dilation, 1)}
        return {**{name: value for name, (value, default) in named.items() if value != default}, **others}


CAUSAL = Window((6,), (3,), 1, ((2, 0),))
STRIDED = Window((6, 7), (3, 3), 2, "half")
UNEVEN = Window((5, 6), (3, 2), (2, 1), ((0, 2), (1, 0)))
DILATED = Window((9, 8), (3, 2), (2, 3), (2, 1), (2, 3))
DEEP = Window((5, 4, 4), (3, 2, 2), (2, 1, 2), 1)
# Padding wider than the window reaches, so that a window sees nothing of the image: before it, after it, on both sides.
FAR = (
    Window((6,), (3,), 1, ((3, 1),)),
    Window((5,), (2,), 2, ((1, 4),), 2),
    Window((4, 5), (2, 3), 1, ((4, 0), (1, 5))),
    Window((5, 6), (4, 5), 2, ((5, 6), (7, 2))),
    Window((4, 3), (1, 1), (1, 2), ((2, 0), (0, 3))),
    Window((3, 4, 2), (2, 1, 2), (1, 2, 1), ((3, 0), (2, 1), (0, 2)), (1, 1, 2)),
)
MANY = Window((1500,), (3,), 1, "half")  # places: a sum of so many in bfloat16 would stop growing
GRID = (
    Window((7,), (3,)),
    Window((8,), (2,), 1, "causal", 3),
    Window((9,), (4,), 3, 2),
    CAUSAL,
    Window((5, 4), (3, 2), 1, "valid"),
    Window((5, 6), (3, 3), 1, "half"),
    STRIDED,
    Window((4, 5), (3, 2), 1, "full"),
    Window((5, 6), (3, 3), 2, "same"),
    Window((5, 5), (2, 4), 1, "same"),
    Window((7, 9), (1, 2), (3, 4), "same"),
    Window((5, 4), (3, 2), 1, "causal"),
    Window((5, 6), (3, 3), 1, (0, 1)),
    UNEVEN,
    Window((4, 4), (2, 2), 1, 3),
    Window((5, 6), (1, 1), 2),
    Window((4, 3), (1, 1), 1, 1),
    Window((6,), (1,), 3),
    Window((3, 4, 3), (1, 1, 1), (1, 2, 1)),
    Window((8, 7), (2, 2), (3, 4)),
    Window((9,), (4,), 2, 1),
    Window((8, 9), (4, 5), 2, "half"),
    Window((4, 4, 5), (4, 4, 4), 2, 1),
    Window((7, 7), (3, 3), 1, 0, 2),
    DILATED,
    Window((4, 3, 5), (2, 3, 2)),
    Window((4, 3, 5), (3, 3, 1), 1, "half"),
    DEEP,
    Window((4, 4, 3), (2, 2, 2), 2, "same", (1, 2, 1)),
)


def random_window(random: Random) -> Window:
    """One that fits, in one to three dimensions."""
    while True:
        rank = int(random.integers(1, 4))
        largest = {1: 9, 2: 7, 3: 4}[rank]

        def each(low: int, high: int, rank=rank) -> tuple[int, ...]:
            return tuple(int(value) for value in random.integers(low, high + 1, rank))

        sizes, window = each(2, largest), each(1, 4 if rank < 3 else 3)
        stride, dilation = each(1, 3), each(1, 3) if random.random() < 0.4 else 1
        paddings = (
            WORDS[random.integers(len(WORDS))],
            int(random.integers(0, 3)),
            each(0, 2),
            tuple(zip(each(0, 5), each(0, 5), strict=True)),
        )
        found = Window(sizes, window, stride, paddings[random.integers(len(paddings))], dilation)
        if found.fits:
            return found


def windows(random: Random, count: int) -> Iterator[Window]:
    """The grid, and `count` random ones."""
    yield from GRID
    for _ in range(count):
        yield random_window(random)
