"""The house of jaxcnn: imports go to a lower floor, or along the same one without a circle."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "ops": 1, "spec": 1, "host": 1, "charts": 1,
    "zoo": 2, "layout": 2, "forward_pass": 2,
    "rewrite": 3, "readings": 3,
    "weights": 4, "data": 4, "tasks": 4, "optimizers": 4, "verify": 4,
    "": 4.5,  # jaxcnn/__init__.py gathers what stands below it
    "config": 5, "visualize": 5, "compress": 5, "export": 5,
    "training": 6,
    "bench": 7, "report": 7,
    "commands": 8, "__main__": 8,
    "train": 9,  # train.py, beside the package
}  # fmt: skip


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in [*sorted(ROOT.glob("jaxcnn/**/*.py")), ROOT / "train.py"] if file.exists()}


def floor_of(module: str) -> float:
    part = module.removeprefix("jaxcnn").strip(".").split(".")[0]
    if part not in FLOORS:
        pytest.fail(f"module {module} has no floor: give {part!r} one in FLOORS, the lowest where it makes sense")
    return FLOORS[part]


def imports_of(module: str) -> set[str]:
    """The project's modules that one of them imports, at its top or inside a function."""
    file = MODULES[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            # `from jaxcnn import ops` imports the module jaxcnn.ops; `from jaxcnn import init`, the package.
            found |= {inner if (inner := f"{source}.{alias.name}") in MODULES else source for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("jaxcnn", "train")}


every_module = pytest.mark.parametrize("module", MODULES)


@every_module
def test_imports_go_to_no_higher_floor(module: str):
    here = floor_of(module)
    higher = {f"{name} (floor {floor_of(name)})" for name in imports_of(module) if floor_of(name) > here}
    assert not higher, f"{module} stands on floor {here} and must not import {', '.join(sorted(higher))}"


@every_module
def test_what_is_imported_exists(module: str):
    assert imports_of(module) <= set(MODULES)


def test_no_module_imports_itself_in_a_circle():
    graph = {module: imports_of(module) - {module} for module in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"imports go in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("jaxcnn.ops")])
def test_operations_know_nothing_of_the_project(module: str):
    assert {name for name in imports_of(module) if not name.startswith("jaxcnn.ops")} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(("jaxcnn.spec", "jaxcnn.host.errors"))])
def test_the_words_need_nothing_but_the_standard_library(module: str):
    assert {name for name in imports_of(module) if not name.startswith("jaxcnn.spec")} == set()
    tree = ast.parse(MODULES[module].read_text())
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"jaxcnn"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("jaxcnn.zoo")])
def test_the_zoo_speaks_in_specs_only(module: str):
    assert {name for name in imports_of(module) if not name.startswith(("jaxcnn.spec", "jaxcnn.zoo"))} == set()


def test_the_reader_of_imports_sees_relative_and_hidden_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "hidden.py"
    file.write_text("from . import pool\nfrom ..spec import Conv\ndef f():\n    import jaxcnn.training.loop, os\n")
    monkeypatch.setitem(MODULES, "jaxcnn.ops.hidden", file)
    assert imports_of("jaxcnn.ops.hidden") == {"jaxcnn.ops.pool", "jaxcnn.spec", "jaxcnn.training.loop"}


HEAVY = {
    "tensorflow_datasets",
    "tensorflow",
    "grain",
    "orbax",
    "matplotlib",
    "sklearn",
    "torch",
    "PIL",
    "tyro",
}


def test_importing_jaxcnn_loads_no_heavy_library():
    program = f"import sys, jaxcnn; print({HEAVY} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (run.stdout.strip(), run.returncode) == ("set()", 0), run.stderr
