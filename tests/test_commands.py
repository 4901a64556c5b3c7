"""The table of commands, and the help of each: one style, on 80 columns, without loading what is not asked for."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from jaxcnn import __version__
from jaxcnn.commands.command import Command
from jaxcnn.commands.main import COMMANDS, main
from jaxcnn.commands.words import words

ROOT = Path(__file__).parents[1]
KINDS = {name: getattr(importlib.import_module(f"jaxcnn.commands.{name}"), name.capitalize()) for name in COMMANDS}
every_command = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def run(capsys, *arguments):
    """A command line in this process: its exit status, what it prints, what it says on the standard error."""
    try:
        status = main(list(arguments))
    except SystemExit as leaving:  # tyro leaves this way
        status = leaving.code
    return status, *capsys.readouterr()


def test_the_table_has_every_command_with_the_first_line_of_its_help():
    for path in sorted((ROOT / "jaxcnn" / "commands").glob("*.py")):
        module = importlib.import_module(f"jaxcnn.commands.{path.stem}")
        commands = [kind for kind in vars(module).values() if inspect.isclass(kind) and issubclass(kind, Command)]
        own = [kind for kind in commands if kind.__module__ == module.__name__ and kind is not Command]
        assert [KINDS.get(path.stem)] == (own or [None])
    assert {name: (inspect.getdoc(kind) or "").split("\n")[0] for name, kind in KINDS.items()} == COMMANDS


@every_command
def test_help_fits_80_columns_and_explains_every_field(name, capsys):
    status, shown, _ = run(capsys, name, "--help")
    assert status == 0 and shown.startswith(f"usage: jaxcnn {name}")
    _, _, explained = shown.partition("\n\n")
    assert max(map(len, explained.splitlines())) <= 80
    words = explained.replace("│", " ").split()
    for field in fields(KINDS[name]):
        flag = f"--{field.name.replace('_', '-')}"
        assert flag in words or field.name in UNFLAGGED[name], f"{flag} is not in the help"


UNFLAGGED = dict.fromkeys(COMMANDS, ()) | {
    "train": ("config", "line"), "evaluate": ("folder",), "predict": ("folder", "images"), "summary": ("network",),
    "convert": ("source",), "diff": ("network", "weights", "image"), "bench": ("what",), "replay": ("folder",),
    "compare": ("runs",), "lr": ("config", "line"), "visualize": ("folder", "images"),
    "report": ("folder", "other"),
}  # fmt: skip
MISSPELT = {
    "train": ["--epohcs", "3"], "evaluate": ["r", "--chekpoint", "best"], "predict": ["r", "x.png", "--tpo", "3"],
    "summary": ["lenet5", "--jsno"], "models": ["--jsno"], "convert": ["r", "--output", "o.npz", "--netwrok", "mlp"],
    "diff": ["mlp", "w", "x", "--dump", "d.npz", "--tolerence", "1"], "bench": ["ops", "--qiuck"],
    "verify": ["--smaple", "3"], "doctor": ["--jsno"], "compare": ["a", "b", "--pictrue", "c.png"],
    "replay": ["r", "--jsno"], "lr": ["--stesp", "3"], "visualize": ["r", "--metohds", "gradcam"],
    "report": ["r", "--chekpoint", "best"],
}  # fmt: skip
MEANT = {
    "train": "--epochs", "evaluate": "--checkpoint", "predict": "--top", "summary": "--json", "models": "--json",
    "convert": "--network", "diff": "--tolerance", "bench": "--quick", "verify": "--sample",
    "doctor": "--json", "replay": "--json", "compare": "--picture", "lr": "--steps", "visualize": "--methods",
    "report": "--checkpoint",
}  # fmt: skip


@every_command
def test_a_misspelt_flag_gets_the_right_one_and_exit_status_2(name, capsys):
    status, _, said = run(capsys, name, *MISSPELT[name])
    assert status == 2 and "Perhaps you meant" in said and f" {MEANT[name]}" in said.replace("│", " ")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_overview_lists_every_command(arguments, capsys):
    status, shown, _ = run(capsys, *arguments)
    assert status == (0 if arguments else 2)
    assert all(f"• {name} " in shown for name in COMMANDS)


def test_a_misspelt_command_gets_the_right_one(capsys):
    status, _, said = run(capsys, "trian", "--epochs", "3")
    assert (status, said.count("\n")) == (2, 1) and "there is no command 'trian'; did you mean 'train'?" in said
    assert run(capsys, "--verbose")[0] == 2


def test_the_version_is_the_packages(capsys):
    assert run(capsys, "--version") == (0, f"jaxcnn {__version__}\n", "")


def test_help_loads_neither_jax_nor_another_command():
    program = """
import sys
from jaxcnn.commands.main import main
for arguments in ["--help"], ["bench", "--help"]:
    try:
        main(arguments)
    except SystemExit:
        pass
    print([name for name in sorted(sys.modules) if name in ("jax", "numpy") or name.startswith("jaxcnn.commands.")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    overview, bench = [ast.literal_eval(line) for line in done.stdout.splitlines() if line.startswith("[")]
    shared = [f"jaxcnn.commands.{name}" for name in ("command", "flags", "main")]
    assert overview == shared, done.stderr
    assert "jaxcnn.commands.bench" in bench and "jax" not in bench and "jaxcnn.commands.verify" not in bench


def test_words_are_those_that_make_the_same_command():
    kind = KINDS["bench"]
    line = ["bench", "step", "--peers", "nnx", "torch", "--cases", "*/dW", "--batch", "8", "--quick"]
    asked = kind.parse(importlib.import_module("jaxcnn.commands.command").Line("jaxcnn bench", tuple(line[1:])))
    assert words("bench", asked, positional=["what"], without=["output"]) == f"jaxcnn {' '.join(line)}".replace(
        "*/dW", "'*/dW'"
    )
    assert words("verify", KINDS["verify"]()) == "jaxcnn verify"
