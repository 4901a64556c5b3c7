"""The commands `jaxcnn bench ops`, `jaxcnn bench step` and `jaxcnn bench compile`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import jax

from jaxcnn.bench import peers
from jaxcnn.errors import InputError

TITLES = {
    "ops": "The speed of single operations",
    "step": "The speed of training steps",
    "compile": "The time to trace and compile",
}
BATCH = {"ops": 64, "step": 128, "compile": 32}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of `jaxcnn bench`."""
    parser.add_argument(
        "what", choices=tuple(TITLES), help="operations, training steps, or how long networks take to compile"
    )
    parser.add_argument(
        "--peers", nargs="+", metavar="PEER", help=f"compare with these only; of {', '.join(peers.NAMES[1:])}"
    )
    parser.add_argument(
        "--cases", nargs="+", metavar="PATTERN", help="measure these only, for example 'conv3x3*' or '*/dW'"
    )
    parser.add_argument(
        "--batch", type=int, metavar="N", help="images in a batch (64 for ops, 128 for step, 32 for compile)"
    )
    parser.add_argument("--quick", action="store_true", help="few and short rounds: for orientation, not to be quoted")
    parser.add_argument("--output", type=Path, default=Path("results"), metavar="DIR", help="where the table goes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the tables and write them to `DIR/bench-ops.md`, `-step.md` or `-compile.md` (`-gpu` on a GPU).

    A long run can be read while it lasts, and after an interruption, in the file of that name and `.partial`. Returns
    the exit status: 1, without a finished table, where a contender computes something else than this library.

    Raises InputError for a peer, a case or a folder that cannot be, before anything is measured.
    """
    # Here and not above: every other command would wait half a second for optax and Flax.
    from jaxcnn.bench import measure_compile, measure_ops, measure_steps
    from jaxcnn.bench.agreement import Disagreement
    from jaxcnn.bench.cases import choose
    from jaxcnn.bench.conditions import describe, matrix_peak, prepare, speed
    from jaxcnn.bench.measure import QUICK, Plan
    from jaxcnn.bench.tables import ready, unfinished

    what, platform = arguments.what, jax.default_backend()
    batch = BATCH[what] if arguments.batch is None else arguments.batch
    if batch < 1:
        raise InputError(f"--batch must be at least 1, not {batch}")
    measuring: Any = {"ops": measure_ops, "step": measure_steps, "compile": measure_compile}[what]
    cases = choose(arguments.cases, measuring.names())
    chosen, notes = peers.choose(arguments.peers, platform)
    suffix = "" if platform == "cpu" else f"-{platform}"
    path = ready(arguments.output, f"bench-{what}{suffix}.md")
    plan, size = (QUICK, 512) if arguments.quick else (Plan(), 2048 if platform == "cpu" else 8192)
    threads = prepare(chosen)
    peak = matrix_peak(chosen, plan, size)
    flops = max(speed(timing, size) for timing in peak.values())
    results: list[Any] = []
    text = ""
    try:
        for result in measuring.measure(cases, chosen, batch, plan, _say, notes):
            results.append(result)
            conditions = describe(_command(arguments), threads, peak, size, batch)
            remarks = [f"- {note}" for note in dict.fromkeys(notes)]
            tables = measuring.report(results, flops, batch)
            text = "\n".join([f"# {TITLES[what]}\n", *conditions, *remarks, "", tables])
            unfinished(path).write_text(text)
    except Disagreement as error:
        print(f"jaxcnn: {error}", file=sys.stderr)
        return 1
    os.replace(unfinished(path), path)
    print(f"\n{text}\nwritten to {path}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _command(arguments: argparse.Namespace) -> str:
    """The command that measures the same again; where the table goes is nobody's concern."""
    words = ["jaxcnn", "bench", arguments.what]
    for name in "peers", "cases":
        values = getattr(arguments, name)
        words += [f"--{name}", *values] if values else []
    words += ["--batch", str(arguments.batch)] if arguments.batch is not None else []
    words += ["--quick"] if arguments.quick else []
    return shlex.join(words)
