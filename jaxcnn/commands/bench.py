"""`jaxcnn bench`: the speed of operations, steps, compiling, augmentations, whole epochs, streams and explanations."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from jaxcnn.bench.peers import ALL, AUGMENTERS, EXPLAINERS, LOADERS, NAMES
from jaxcnn.bench.peers import choose as choose_peers
from jaxcnn.commands.command import FAILED, Command, say
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.words import words
from jaxcnn.host.errors import InputError

TITLES = {
    "ops": "The speed of single operations",
    "step": "The speed of training steps",
    "compile": "The time to trace and compile",
    "augment": "The speed of augmentations",
    "epoch": "The speed of whole epochs",
    "data": "The speed of streams",
    "see": "The speed of explanations",
}
PEERS = {"augment": AUGMENTERS, "data": LOADERS, "see": EXPLAINERS}
BATCH = {"ops": 64, "step": 128, "compile": 32, "augment": 128, "epoch": 128, "data": 32, "see": 64}


@dataclass(frozen=True, kw_only=True)
class Bench(Command):
    """Measure the speed beside lax, Flax, Keras and PyTorch.

    The tables go to OUTPUT/bench-ops.md, -step.md, -compile.md, -augment.md, -epoch.md, -data.md or -see.md (-gpu on a
    GPU), and while they are measured to the file of that name and .partial. Some have peers of their own: augmentations
    torchvision, kornia, albumentations, augmax, dm_pix; streams torch, grain, opencv, simplejpeg, torchvision; what
    looks inside of a network captum, grad-cam, foolbox, torch.
    """

    computes = lasting = True

    what: Positional[Literal["ops", "step", "compile", "augment", "epoch", "data", "see"]]
    """Operations, training steps, how long networks take to compile, augmentations (at batch 1, 32 and 128), whole
    epochs, with data, checkpoint and evaluation, streams of photographs, or explanations and attacks."""
    peers: Annotated[
        tuple[str, ...], arg(metavar="PEER...", help_behavior_hint=f"(default: all of {', '.join(NAMES[1:])})")
    ] = ()
    """Compare with these only."""
    cases: Annotated[tuple[str, ...], arg(metavar="PATTERN...", help_behavior_hint="(default: all)")] = ()
    """Measure these only, for example 'conv3x3*' or '*/dW'."""
    batch: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 64, 128, and 32 to compile)")] = None
    """Images in a batch."""
    photographs: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: parts of scikit-learn's)")] = (
        None
    )
    """For bench data: class folders of photographs to stream."""
    quick: Flag = False
    """Few and short rounds: for orientation, not to be quoted."""
    output: Annotated[Path, arg(metavar="DIR")] = Path("results")
    """Where the table goes."""

    def run(self) -> int:
        """Measure, print the tables and write them down; exit status 1 where a contender computes something else.

        Raises InputError for a peer, a case or a folder that cannot be, before anything is measured.
        """
        import jax

        from jaxcnn.bench import (
            measure_augment,
            measure_compile,
            measure_data,
            measure_epoch,
            measure_ops,
            measure_see,
            measure_steps,
        )
        from jaxcnn.bench.agreement import Disagreement
        from jaxcnn.bench.cases import choose
        from jaxcnn.bench.conditions import describe, matrix_peak, prepare, speed
        from jaxcnn.bench.measure import QUICK, Plan
        from jaxcnn.bench.tables import ready, unfinished

        platform = jax.default_backend()
        batch = BATCH[self.what] if self.batch is None else self.batch
        if batch < 1:
            raise InputError(f"--batch must be at least 1, not {batch}")
        modules = {
            "ops": measure_ops, "step": measure_steps, "compile": measure_compile, "augment": measure_augment,
            "epoch": measure_epoch, "data": measure_data, "see": measure_see,
        }  # fmt: skip
        measuring: Any = modules[self.what]
        cases = choose(self.cases or None, measuring.names())
        chosen, notes = choose_peers(self.peers or None, platform, PEERS.get(self.what, ALL))
        suffix = "" if platform == "cpu" else f"-{platform}"
        path = ready(self.output, f"bench-{self.what}{suffix}.md")
        plan, size = (QUICK, 512) if self.quick else (Plan(), 2048 if platform == "cpu" else 8192)
        threads = prepare(chosen)
        peak = matrix_peak(chosen, plan, size)
        flops = max(speed(timing, size) for timing in peak.values())
        results: list[Any] = []
        text, again = "", words("bench", self, positional=["what"], without=["output"])
        try:
            more = [self.photographs] if self.what == "data" else []
            for result in measuring.measure(cases, chosen, batch, plan, _show, notes, *more):
                results.append(result)
                conditions = describe(again, threads, peak, size, batch)
                remarks = [f"- {note}" for note in dict.fromkeys(notes)]
                tables = measuring.report(results, flops, batch)
                text = "\n".join([f"# {TITLES[self.what]}\n", *conditions, *remarks, "", tables])
                unfinished(path).write_text(text)
        except Disagreement as error:
            return say(str(error), FAILED)
        os.replace(unfinished(path), path)
        print(f"\n{text}\nwritten to {path}")
        return 0


def _show(line: str) -> None:
    print(line, flush=True)
