"""The `jaxcnn` command: train, evaluate, predict, summary, models, convert, diff, bench, verify."""

from __future__ import annotations

import argparse
import difflib
import runpy
import shlex
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import jax

import jaxcnn
from jaxcnn.analysis import screen_width, summary_csv, summary_json
from jaxcnn.config import TrainConfig
from jaxcnn.errors import InputError, input_errors
from jaxcnn.graph_picture import dot
from jaxcnn.layout import times
from jaxcnn.named import add_network_argument, add_network_options, named
from jaxcnn.restored import add_checkpoint_option, of_run, restored

BAD_INPUT, FAILED = 2, 1


def main(arguments: list[str] | None = None, program: str = "jaxcnn") -> int:
    """Run a command line; returns the exit status: 0, 1 (the run failed), 2 (bad input), 128 + signal (stopped)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.path.insert(0, str(Path.cwd()))  # so that module:function finds a module in the working folder
    try:
        if arguments[:1] == ["train"]:
            return _train(arguments[1:], program if program != "jaxcnn" else "jaxcnn train")
        parsed = _parser().parse_args(arguments)
        return parsed.run(parsed)
    except InputError as error:
        return _say(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _say("stopped", 130)
    except BrokenPipeError:  # the reader of our output, `head` for example, has seen enough
        sys.stderr.close()
        return 0


def _say(sentence: str, status: int) -> int:
    print(f"jaxcnn: {' '.join(sentence.split())}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxcnn", description="Convolutional networks in JAX as values and pure functions."
    )
    parser.add_argument("--version", action="version", version=f"jaxcnn {jaxcnn.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    commands.add_parser("train", help="train a network (the same as python train.py; train --help lists the fields)")

    evaluate = commands.add_parser("evaluate", help="measure a trained network on its test images")
    evaluate.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run, such as results/digits")
    add_checkpoint_option(evaluate)
    evaluate.add_argument("--source", help="other data than the run's: digits, idx:DIR, folder:PATH or tfds:NAME")
    evaluate.set_defaults(run=_evaluate)

    from jaxcnn.predict import add_predict_options

    add_predict_options(commands.add_parser("predict", help="say what a trained network sees in images"))

    summary = commands.add_parser("summary", help="print a network's layers, shapes, parameters and operations")
    summary.description = "Print a network's layers. In a narrow terminal the last columns are left out."
    add_network_argument(summary)
    add_network_options(summary, any_rank=True)
    formats = summary.add_mutually_exclusive_group()
    for name, what in {"json": "JSON", "csv": "comma-separated values", "dot": "a graph for Graphviz's dot"}.items():
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print {what}")
    summary.set_defaults(run=_summary)

    from jaxcnn.models_table.command import add_options as add_models_options

    add_models_options(commands.add_parser("models", help="list the networks, with what is known of them"))

    from jaxcnn.bench.command import add_options  # loads no peer

    add_options(commands.add_parser("bench", help="measure the speed beside lax, Flax, Keras and PyTorch"))

    from jaxcnn.weights.command import add_convert_options, add_diff_options

    convert = commands.add_parser("convert", help="convert weights of PyTorch, Keras or a run to another file")
    add_convert_options(convert, of_run)
    add_checkpoint_option(convert)
    add_diff_options(commands.add_parser("diff", help="find the first layer that differs from a peer's activations"))

    from jaxcnn.verify.command import add_options as add_verify_options

    add_verify_options(commands.add_parser("verify", help="check every operation against its definition in loops"))
    return parser


# train


@dataclass(frozen=True)
class TrainOptions(TrainConfig):
    """Train a network, and write what came of it to RESULTS/NAME/.

    Without a config, LeNet-5 learns scikit-learn's handwritten digits. CONFIG.py is a file as those in configs/; the
    fields below change what it says.
    """

    results: Path = Path("results")
    """The folder of all runs; this one goes to RESULTS/NAME/."""
    resume: bool = False
    """Continue the run in that folder, to the same bits as if it had not been stopped."""
    overwrite: bool = False
    """Discard the run in that folder."""


def read_config(path: Path) -> TrainConfig:
    """The value called `config` in a Python file. Raises InputError where there is none that can be used."""
    if not path.is_file():
        beside = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(str(path), beside, n=1)
        known = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(beside)) or 'none'}"
        raise InputError(f"there is no config {path}; {known}")
    try:
        config = runpy.run_path(str(path)).get("config")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        raise InputError(f"{path} cannot be read as a config: {type(error).__name__}: {error}") from error
    if not isinstance(config, TrainConfig):
        raise InputError(f"{path} must define `config = TrainConfig(...)` from jaxcnn.config")
    return config


def _values(config: TrainConfig) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in fields(TrainConfig)}


def _train(arguments: list[str], program: str) -> int:
    import tyro

    if any(word.endswith(".py") for word in arguments[1:]) and arguments[0].startswith("-"):
        raise InputError(f"the config comes first: {program} CONFIG.py --epochs 3")
    given = Path(arguments[0]) if arguments and not arguments[0].startswith("-") else None
    config = read_config(given) if given else TrainConfig()
    options = tyro.cli(
        TrainOptions,
        default=TrainOptions(**_values(config)),
        args=arguments[1:] if given else arguments,
        prog=f"{program} [CONFIG.py]",
    )
    config = TrainConfig(**{name: getattr(options, name) for name in _values(config)})
    command = shlex.join([*program.split(), *arguments])
    from jaxcnn.training import Diverged, Interrupted, fit

    try:
        fit(
            config,
            results=options.results,
            resume=options.resume,
            overwrite=options.overwrite,
            command=command,
        )
    except Diverged as error:
        return _say(str(error), FAILED)
    except Interrupted as error:
        again = [word for word in arguments if word not in ("--overwrite", "--resume")]
        return _say(f"{error}; go on with: {shlex.join([*program.split(), *again, '--resume'])}", error.code)
    return 0


# evaluate


def _evaluate(arguments: argparse.Namespace) -> int:
    import optax
    from rich.console import Console

    from jaxcnn.data import load
    from jaxcnn.devices import compiled
    from jaxcnn.progress import confusion_text
    from jaxcnn.steps import Task, evaluate

    config, facts, net, params, batch_stats = restored(arguments.folder, arguments.checkpoint)
    dataset = load(replace(config.data, source=arguments.source) if arguments.source else config.data)
    images, size = dataset.test.images, len(dataset.test.labels)
    if images.shape[1:] != facts.input or dataset.classes != facts.classes:
        raise InputError(
            f"{dataset.name} has {len(dataset.classes)} classes of {times(images.shape[1:])} images, but "
            f"{arguments.folder} was trained on {times(facts.input)} in the {len(facts.classes)} classes "
            f"{', '.join(facts.classes[:20])}"
        )
    steps = compiled(Task(net, optax.identity(), facts.mean, facts.std))
    params, batch_stats = jax.device_put((params, batch_stats), steps.everywhere)
    batch_size = -(-config.batch_size // jax.device_count()) * jax.device_count()
    result = evaluate(steps.eval, params, batch_stats, size, batch_size, steps.fetch(dataset.test))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{config.network} ({arguments.checkpoint}) on {size:,} test images of {dataset.name}")
    console.print(f"accuracy {result.accuracy:.2%}, top-5 {result.top5:.2%}, loss {result.loss:.4f} nats\n")
    console.print(confusion_text(result.confusion, dataset.classes))
    return 0


# summary


_SUMMARIES = {"json": summary_json, "csv": summary_csv, "dot": dot}


def _summary(arguments: argparse.Namespace) -> int:
    net, _, shape = named(arguments)
    with input_errors(f"network {arguments.network!r} cannot take images of {times(shape)}"):
        if arguments.format:
            print(_SUMMARIES[arguments.format](net, shape))
        else:
            print(jaxcnn.summary(net, shape, screen_width()))
    return 0
