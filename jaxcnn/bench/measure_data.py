"""`jaxcnn bench data`: photographs from files to arrays, decoded, streamed, and while a network trains on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax

from jaxcnn.bench import photographs
from jaxcnn.bench.decoders import BATCH, DECODERS, SIDE, STREAMS, by_pillow_cropped
from jaxcnn.bench.goals import Goal
from jaxcnn.bench.measure import Contender, Plan, Timing, interleave
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.tables import table
from jaxcnn.config import Constant, DataConfig, Flip, OptimizerConfig, ResizedCrop, TrainConfig
from jaxcnn.data import load
from jaxcnn.data.batches import epoch_key
from jaxcnn.data.read_ahead import workers
from jaxcnn.data.streamed import Streamed
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run

Say = Callable[[str], None]
CROPPED, RESIDENT, STREAMING = "one thread", "resident", "streamed"
NETWORK, STEPS_BATCH = "resnet18", 16


@dataclass(frozen=True)
class Measured:
    """The timings of one part, of one image."""

    name: str
    timings: dict[str, Timing]


def names() -> list[str]:
    """What `--cases` can choose."""
    return ["decoding", "stream", "training"]


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str],
    folder: Path | None = None,
) -> Iterator[Measured]:  # fmt: skip
    """Time the chosen parts on the photographs of a folder; without one, on parts of scikit-learn's two."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            photographs.write(folder)
        config = DataConfig(f"folder:{folder}", size=(SIDE, SIDE), channels=3, stream=True)
        images = load(config).train.images
        assert isinstance(images, Streamed)
        for name in chosen:
            contenders = {"decoding": _decoding, "stream": _stream, "training": _training}[name](images, config, peers)
            for contender in contenders:
                contender.run()
            timings = interleave(contenders, plan)
            say(f"{name}: " + ", ".join(f"{who} {1 / timing.median:,.0f} images/s" for who, timing in timings.items()))
            yield Measured(name, timings)


def _decoding(images: Streamed, config: DataConfig, peers: Sequence[Peer]) -> list[Contender]:
    files = _files(images)
    return [Contender(each.name, DECODERS[each.name](files), len(files)) for each in peers if each.name in DECODERS]


def _stream(images: Streamed, config: DataConfig, peers: Sequence[Peer]) -> list[Contender]:
    streams = [Contender(each.name, STREAMS[each.name](images), len(images)) for each in peers if each.name in STREAMS]
    return [*streams, Contender(CROPPED, by_pillow_cropped(_files(images)), len(images))]


def _files(images: Streamed) -> list[bytes]:
    return [images.source.read(int(place)) for place in images.places]


def _training(images: Streamed, config: DataConfig, peers: Sequence[Peer]) -> list[Contender]:
    """Steps on one batch that lies on the device, and steps that each take the next of the stream."""
    given = TrainConfig(
        name="stream", network=NETWORK, batch_size=STEPS_BATCH, optimizer=OptimizerConfig(schedule=Constant()),
        data=DataConfig(config.source, size=config.size, channels=3, stream=True, augment=(ResizedCrop(), Flip())),
    )  # fmt: skip
    here = Run(prepare(given), Path())
    endless = (batch for epoch in itertools.count() for batch in here.batches(epoch, 0))
    first, key = next(endless), epoch_key(0, 0)

    def step(batch: Any) -> None:
        here.state, here.sums = here.steps.train(here.state, here.sums, batch, key)
        jax.block_until_ready(here.sums)

    return [
        Contender(RESIDENT, lambda: step(first), STEPS_BATCH),
        Contender(STREAMING, lambda: step(next(endless)), STEPS_BATCH),
    ]


LEGEND = """\
Images per second: the median over rounds in which all run in turn. Decoding is on one thread, and gives whole images in
RGB; jaxcnn's is Pillow's. A stream gives random resized crops of {side}x{side} in batches of {batch}, all cut by
Pillow, from files that the system has in memory, with {workers} threads or processes; `one thread` does the same to
each image alone. Training is that of {network} at {side}x{side}, in batches of {steps_batch}: on one batch that lies on
the device, and on the stream.
"""


def goals(name: str) -> list[Goal]:
    """What is wanted of a part: a stream as fast as all cores decode, to a tenth, and faster than its peers; steps that
    do not wait for it."""
    if name == "stream":
        return [
            Goal(1 / 0.9 / workers(), (CROPPED,), "one thread"),
            Goal(1.0, ("torch", "grain"), "other streams"),
        ]
    return [Goal(1.05, (RESIDENT,), "a resident batch", of=STREAMING)] if name == "training" else []


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """A table of rates, and the goals."""
    legend = LEGEND.format(side=SIDE, workers=workers(), batch=BATCH, network=NETWORK, steps_batch=STEPS_BATCH)
    rows = [
        [result.name, who, f"{1 / timing.median:,.0f}", f"{1e3 * timing.median:.2f}"]
        for result in results for who, timing in result.timings.items()
    ]  # fmt: skip
    wanted = [[result.name, goal.verdict(result.timings)] for result in results for goal in goals(result.name)]
    return "\n".join(
        [legend, table(["", "by", "images/s", "ms an image"], rows), "", table(["", "wanted"], wanted), ""]
    )
