"""The command line: the table of commands, and what they share, from the first word to the exit status."""

from __future__ import annotations

import difflib
import importlib
import sys
from contextlib import suppress
from dataclasses import make_dataclass
from typing import Annotated, NoReturn, Union

import tyro

import jaxcnn
from jaxcnn.commands.command import BAD_INPUT, FAILED, Command, Line, parse, say
from jaxcnn.host.errors import Failed, InputError, sentences
from jaxcnn.host.interrupts import Interrupted, stoppable
from jaxcnn.host.output import OutputLost, standard_output

COMMANDS = {
    "train": "Train a network, and write what came of it to RESULTS/NAME/.",
    "evaluate": "Measure a trained network on its test images.",
    "predict": "Say what a trained network sees in images.",
    "visualize": "Draw what a trained network sees, and where it looks.",
    "report": "Write one HTML file that tells a run: how good it is, what it sees, how it is fooled.",
    "compare": "Compare runs: in what they differ, which is better, and by how much of the spread.",
    "summary": "Print a network's layers, shapes, parameters and operations.",
    "replay": "Train again up to the step whose numbers were not finite, and say where they cease to be.",
    "lr": "Find a learning rate: train some steps with ever larger ones.",
    "models": "List the networks, with what is known of them.",
    "convert": "Convert weights of PyTorch, Keras or a run to a file under PyTorch's names.",
    "diff": "Find the first layer that differs from a peer's activations.",
    "bench": "Measure the speed beside lax, Flax, Keras and PyTorch.",
    "verify": "Check every operation against its definition in loops.",
    "doctor": "Say what jaxcnn runs on here, what is slow, why, and the cure.",
}
"""Every command: the class of its name in the module of its name, here, and the first line of that class's help."""

ABOUT = """Convolutional networks in JAX as values and pure functions.

`jaxcnn COMMAND --help` explains a command, `jaxcnn --version` says which jaxcnn this is."""
STOPPED = 130


def main(arguments: list[str] | None = None, program: str = "jaxcnn") -> int:
    """Run a command line; returns the exit status: 0, 1 (it failed), 2 (bad input), 128 + signal (stopped).

    `program` is what was typed in the place of `jaxcnn` and the command's name, where it was something else. Raises
    SystemExit, with the exit status, where help was asked for, or the words are none of the command's.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _load(words)
    try:
        with stoppable(), sentences(), standard_output() as output:
            asked = command(words, program)
            output.lasting = asked.lasting
            asked.begin()
            if asked.computes:
                from jaxcnn.host.machine import check_devices

                check_devices()
            return asked.run()
    except InputError as error:
        return say(str(error), BAD_INPUT)
    except Failed as error:
        return say(str(error), FAILED)
    except OutputLost as error:
        return 0 if error.closed else say(str(error), FAILED)
    except Interrupted as stop:
        return say(str(stop), stop.code)
    except KeyboardInterrupt as stop:
        return say("stopped", getattr(stop, "code", STOPPED))


def _load(words: list[str]) -> None:
    """Import what the command line needs before `Stop` may be raised.

    JAX's libraries call Python while they are loaded, and an exception that comes there ends the process with a fault.
    """
    if words and words[0] in COMMANDS and not {"-h", "--help"} & {*words}:
        with suppress(Exception):  # whatever is wrong is said by who uses them
            importlib.import_module("jax")
            _kind(words[0])


def _kind(name: str) -> type[Command]:
    return getattr(importlib.import_module(f"jaxcnn.commands.{name}"), name.capitalize())


def command(words: list[str], program: str = "jaxcnn") -> Command:
    """What a command line asks for; of all commands, only that one's module is imported.

    Raises InputError for a command that there is not, and SystemExit where help or the version has been printed.
    """
    name = words[0] if words else ""
    if name in COMMANDS:
        return _kind(name).parse(Line(f"jaxcnn {name}" if program == "jaxcnn" else program, tuple(words[1:])))
    if name == "--version":
        print(f"jaxcnn {jaxcnn.__version__}")
        raise SystemExit(0)
    if name and not name.startswith("-"):
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(f"there is no command {name!r}; {hint}`jaxcnn --help` lists all {len(COMMANDS)}")
    if words:
        _overview(name)
    with suppress(SystemExit):
        _overview("--help")
    raise SystemExit(BAD_INPUT)


def _overview(flag: str) -> NoReturn:
    """Print every command, in the style of their own help, or what is wrong with the flag."""
    kinds = [
        Annotated[make_dataclass(name.capitalize(), []), tyro.conf.subcommand(name, description=text)]
        for name, text in COMMANDS.items()
    ]
    parse(Union[tuple(kinds)], Line("jaxcnn", (flag,)), description=ABOUT)  # noqa: UP007
    raise AssertionError(f"tyro has no word on {flag}")
