"""The ledger: every case, a sample of them, and their verdicts."""

from __future__ import annotations

import itertools
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxcnn.host.errors import InputError
from jaxcnn.verify import chance, checks, libraries, locality, transformations, ways
from jaxcnn.verify.bounds import Measure, wrong
from jaxcnn.verify.operations import OPERATIONS
from jaxcnn.verify.setting import Setting
from jaxcnn.verify.subject import TRANSFORMATIONS, Operation, Subject

Check = Callable[[Subject], Measure | None]
WAYS = tuple(ways.names())
CHECKS: dict[str, Check] = {
    "value": checks.value,
    "gradient": checks.gradient,
    "transpose": checks.transpose,
    "difference": checks.difference,
    "second derivative": checks.second_derivative,
    "NaN": locality.nan,
    "jit": transformations.jit,
    "vmap": transformations.vmap,
    "scan": transformations.scan,
    "jvp": transformations.jvp,
    "sharded": transformations.sharded,
    "shard_map": transformations.shard_map,
    "PyTorch": libraries.pytorch,
    "Keras": libraries.keras,
    "survivors": chance.survivors,
    "fraction": chance.fraction,
    "keys": chance.keys,
    "mask gradient": chance.mask_gradient,
    **{name: ways.check(name) for name in WAYS},
}
DTYPES = ("float64", "float32", "bfloat16")
IN_EVERY_DTYPE = ("value", "gradient", "survivors", "mask gradient")
EVERY = 4  # of the settings, one is transformed: that compiles again and again
REMEMBERED = 40  # settings whose compiled functions are kept: some 10 MB each


class Case(NamedTuple):
    """One check of one operation at one setting in one dtype; `way` is another way to compute the same."""

    operation: Operation
    setting: Setting
    dtype: str
    check: str


class Row(NamedTuple):
    """A case and what came of it."""

    operation: str
    rank: int
    setting: str
    dtype: str
    check: str
    error: float
    bound: float
    ratio: float
    verdict: str
    note: str


def _applies(check: str, operation: Operation, setting: Setting, dtype: str, number: int) -> bool:
    if check in WAYS:
        return ways.applies(check, operation.name, setting, dtype) and (dtype == "float64" or number % EVERY == 0)
    if dtype != "float64" and check not in IN_EVERY_DTYPE:
        return False
    if check in ("difference", "second derivative") and not setting.differentiable:
        return False
    if check == "transpose":
        return any(setting.arrays[i] is not None for i in operation.linear)
    if check in TRANSFORMATIONS:
        return number % EVERY == 0 and (check not in ("sharded", "shard_map") or operation.examples)
    if check in libraries.PACKAGES:
        return libraries.has(check, operation.loop or operation.name)
    return True


def all_cases(names: Sequence[str], seed: int) -> list[Case]:
    """Every case of the operations of these names. Raises InputError for a name that is none."""
    unknown = [name for name in names if name not in OPERATIONS]
    if unknown:
        raise InputError(f"{unknown[0]!r} is not an operation; there are: {', '.join(OPERATIONS)}")
    cases = []
    for name in names or OPERATIONS:
        operation = OPERATIONS[name]
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        for number, setting in enumerate(operation.settings(random)):
            for dtype, check in itertools.product(DTYPES, (*operation.checks, *WAYS)):
                if _applies(check, operation, setting, dtype, number):
                    cases.append(Case(operation, setting, dtype, check))
    return cases


def sample(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """A random part, in the order of the whole, with every operation and every check in it.

    One case of each check comes first; then every operation in turn adds one, up to three at one setting, which share
    what is compiled for it. Raises InputError where `count` is too small for every operation and check.
    """
    order = np.random.default_rng(seed).permutation(len(cases)).tolist()
    by_check: dict[str, int] = {}
    groups: dict[str, dict[tuple[str, str], list[int]]] = {}
    for i in order:
        case = cases[i]
        by_check.setdefault(case.check, i)
        groups.setdefault(case.operation.name, {}).setdefault((str(case.setting), case.dtype), []).append(i)
    queues = [[i for same in of.values() for i in same[:3]] + [i for same in of.values() for i in same[3:]]
              for of in groups.values()]  # fmt: skip
    chosen = dict.fromkeys(by_check.values())
    covered = {cases[i].operation.name for i in chosen}
    for queue in queues:
        if cases[queue[0]].operation.name not in covered:
            chosen[queue[0]] = None
    if len(chosen) > count:
        raise InputError(f"a sample with every operation and every check in it has at least {len(chosen)} cases")
    for turn in itertools.zip_longest(*queues):
        for i in turn:
            if i is not None and len(chosen) < count:
                chosen[i] = None
    return [cases[i] for i in sorted(chosen)]


def _measured(check: Check, subject: Callable[[], Subject]) -> Measure | None:
    try:
        return check(subject())
    except InputError:
        raise
    except Exception as error:
        sentence = re.sub(r"/\S+/", "", " ".join(str(error).split()))  # where a file lies on this machine is no matter
        return wrong(f"{type(error).__name__}: {sentence[:300]}")


def verified(cases: Iterable[Case], seed: int) -> Iterator[Row | None]:
    """The verdicts, one after the other; None for a case that another library cannot express."""
    with jax.enable_x64(True):
        groups = itertools.groupby(cases, lambda case: (case.operation.name, str(case.setting), case.dtype))
        for number, (_, group) in enumerate(groups, 1):
            subject: Subject | None = None
            if number % REMEMBERED == 0:
                jax.clear_caches()
            for case in group:

                def prepared(case: Case = case) -> Subject:
                    nonlocal subject
                    subject = subject or Subject(case.operation, case.setting, case.dtype, seed)
                    return subject

                measure = _measured(CHECKS[case.check], prepared)
                yield None if measure is None else _row(case, measure)


def _row(case: Case, measure: Measure) -> Row:
    verdict = "green" if measure.passed else "red"
    ratio = measure.ratio
    return Row(
        case.operation.name, case.setting.rank, str(case.setting), case.dtype, case.check,
        measure.error, measure.bound, ratio, verdict, measure.note,
    )  # fmt: skip


def run(cases: Sequence[Case], seed: int, progress: Callable[[Case, int], None]) -> tuple[list[Row], int, float]:
    """All verdicts, how many cases no other library could express, and the seconds it took."""
    begun, rows, left_out = time.perf_counter(), [], 0
    for number, row in enumerate(verified(cases, seed)):
        progress(cases[number], number + 1)
        if row is None:
            left_out += 1
        else:
            rows.append(row)
    return rows, left_out, time.perf_counter() - begun
