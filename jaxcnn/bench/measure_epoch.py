"""`jaxcnn bench epoch`: what training costs beyond its bare steps, and PyTorch's whole epoch beside it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import jax

from jaxcnn.bench import epoch_data
from jaxcnn.bench.goals import Goal
from jaxcnn.bench.measure import Contender, Plan, Timing, interleave
from jaxcnn.bench.networks import NETWORKS
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.summary import Line, times
from jaxcnn.bench.tables import table
from jaxcnn.config import Constant, OptimizerConfig, TrainConfig
from jaxcnn.data.batches import epoch_key
from jaxcnn.host.errors import Failed
from jaxcnn.training.loop import train
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run

Say = Callable[[str], None]
CASES = ("cifar_cnn", "lenet5")
LAYOUTS = {"torch": "default", "torch-nhwc": "channels_last"}
STEP, AUGMENTED, EPOCH = "step", "augmented step", "jaxcnn"
GOALS = (
    Goal(1.05, (STEP,), "the step without augmentation", of=AUGMENTED),
    Goal(1 / 0.95, (STEP,), "the bare step", of=EPOCH),
    Goal(0.8, tuple(LAYOUTS), "PyTorch's epoch", of=EPOCH),
)
ENDLESS = 10_000  # epochs


@dataclass(frozen=True)
class Measured:
    """The timings of one network, of one training image."""

    name: str
    timings: dict[str, Timing]


def names() -> list[str]:
    """What `--cases` can choose."""
    return list(CASES)


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str]
) -> Iterator[Measured]:
    """Time one chosen network after the other. Peers other than PyTorch's two eager ones are passed over."""
    for name in chosen:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            shape = NETWORKS[name][1]
            epoch_data.write(folder, shape)
            config = _config(name, folder, batch)
            say(f"{name}: compiling, and an epoch of each")
            epochs = stack.enter_context(closing(_training(config, folder)))
            next(epochs)
            contenders = [
                Contender(STEP, _step(replace(config, data=replace(config.data, augment=()))), batch),
                Contender(AUGMENTED, _step(config), batch),
                Contender(EPOCH, partial(next, epochs), epoch_data.TRAIN),
            ]
            for peer in peers:
                if layout := LAYOUTS.get(peer.name):
                    run = stack.enter_context(TorchEpochs(name, layout, batch, folder))
                    contenders.append(Contender(peer.name, run, epoch_data.TRAIN))
            timings = interleave(contenders, plan)
        say(f"{name}: " + ", ".join(f"{who} {1e3 * timing.median:.3f} ms" for who, timing in timings.items()))
        yield Measured(name, timings)


def _config(name: str, folder: Path, batch: int) -> TrainConfig:
    data = epoch_data.config(folder, NETWORKS[name][1])
    optimizer = OptimizerConfig(lr=1e-4, schedule=Constant())
    return TrainConfig(
        name="epochs", network=name, data=data, optimizer=optimizer, epochs=ENDLESS, batch_size=batch
    )  # fmt: skip


def _step(config: TrainConfig) -> Callable[[], object]:
    """A training step on a batch that is on the device already."""
    run = Run(prepare(config), Path())
    batch, key = next(run.batches(0, 0)), epoch_key(0, 0)

    def step() -> object:
        run.state, run.sums = run.steps.train(run.state, run.sums, batch, key)
        return jax.block_until_ready(run.sums)

    step()
    return step


def _training(config: TrainConfig, folder: Path) -> Generator[object, None, object]:
    """Training whose every step is a whole epoch: data, steps, metrics, a checkpoint, evaluation."""
    from rich.console import Console

    return train(config, results=folder / "results", console=Console(file=io.StringIO()))


class TorchEpochs:
    """Whole epochs in PyTorch, in a process of its own, which waits while others run."""

    def __init__(self, name: str, layout: str, batch: int, folder: Path) -> None:
        words = [sys.executable, "-m", "jaxcnn.bench.torch_epoch", name, layout, str(batch), str(folder)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> TorchEpochs:
        self()  # starts its workers
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def __call__(self) -> str:
        """Train an epoch. Raises Failed where the process has ended."""
        given, answers = self.process.stdin, self.process.stdout
        assert given is not None and answers is not None
        given.write("\n")
        given.flush()
        answer = answers.readline()
        if not answer:
            raise Failed(f"PyTorch's epoch ended with status {self.process.wait()}: its error stands above")
        return answer


LEGEND = """\
Milliseconds of a training image: the median over rounds in which all run in turn, and the quartiles. A step is that of
`jaxcnn train`, on a batch that is on the device already; an epoch of jaxcnn is all that `train` does in one:
{train:,} training images (crops with a padding of {padding}, flips), metrics, a sealed checkpoint, and the evaluation
of {test:,} test images. PyTorch's has a DataLoader with 2 workers that stay, the same augmentation, Adam, a saved
checkpoint and the same evaluation.
"""


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """The goals, and all times."""
    rows = [[result.name, goal.verdict(result.timings)] for result in results for goal in GOALS]
    lines = [Line(result.name, result.timings, None, ()) for result in results]
    legend = LEGEND.format(train=epoch_data.TRAIN, test=epoch_data.TEST, padding=epoch_data.PADDING)
    return "\n".join([legend, table(["epoch", "wanted"], rows), "", times(lines), ""])
