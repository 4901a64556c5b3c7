"""`jaxcnn bench ops`: every operation, by every peer, product by product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxcnn.bench import jax_operations
from jaxcnn.bench.agreement import TOLERANCE, check_dropout, check_equal
from jaxcnn.bench.cases import CASES, Case, inputs
from jaxcnn.bench.measure import Contender, Plan, Timing, interleave
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.summary import READING, Line, summary, times

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """The timings of one product of a case."""

    case: Case
    product: str
    timings: dict[str, Timing]


def names() -> list[str]:
    """What `--cases` can choose: `CASE/PRODUCT`."""
    return [f"{case.name}/{product}" for case in CASES for product in case.products]


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str]
) -> Iterator[Measured]:
    """Time one chosen product after the other. `notes` tells of peers that could not be compiled, and are left out."""
    for case in CASES:
        products = [product for product in case.products if f"{case.name}/{product}" in chosen]
        arrays = inputs(case, batch) if products else {}
        for product in products:
            contenders = list(_contenders(case, product, peers, arrays, notes))
            timings = interleave(contenders, plan)
            say(f"{case.name}/{product}: " + ", ".join(f"{n} {1e3 * t.median:.3g} ms" for n, t in timings.items()))
            yield Measured(case, product, timings)


def _contenders(
    case: Case, product: str, peers: Sequence[Peer], arrays: dict[str, np.ndarray], notes: list[str]
) -> Iterator[Contender]:
    """The contenders, each run once and found to agree with this library."""
    if any(peer.compiled for peer in peers):
        import torch

        torch._dynamo.reset()  # it counts recompilations of one function, and gives up after some
    expected: list[np.ndarray] = []
    for peer in peers:
        if peer.compiled and case.kind == "conv" and not case.depthwise:
            continue  # torch.compile calls the same library function for these
        try:
            contender, results = _checked(peer, case, product, arrays)
        except Exception as error:
            if not peer.compiled:
                raise
            first_line = next(iter(str(error).splitlines()), "")
            notes.append(f"{peer.name} is left out of {case.name}/{product}: {type(error).__name__}: {first_line}.")
            continue
        if case.kind == "dropout":
            check_dropout(f"{peer.name} in {case.name}/{product}", results, arrays["x"], arrays["gradient"], case.rate)
        else:
            expected = expected or results
            check_equal(f"{peer.name} in {case.name}/{product}", results, expected)
        yield contender


def _checked(
    peer: Peer, case: Case, product: str, arrays: dict[str, np.ndarray]
) -> tuple[Contender, list[np.ndarray]]:  # fmt: skip
    if peer.package == "torch":
        from jaxcnn.bench import torch_operations

        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        contender = torch_operations.contender(peer, case, product, arrays, device)
        return contender, torch_operations.in_our_axes(contender.run(), product)
    contender = jax_operations.contender(peer.name, _function(peer, case), case, product, arrays)
    result = contender.run()
    return contender, [np.asarray(each) for each in jax.tree.leaves(result)]


def _function(peer: Peer, case: Case) -> jax_operations.Function:
    """The case by one of those that run on jax."""
    match peer.name:
        case "jaxcnn":
            return jax_operations.own(case)
        case "lax":
            return jax_operations.plain(case)
        case "nnx":
            from jaxcnn.bench.nnx_operations import nnx_function

            return nnx_function(case)
        case _:
            from jaxcnn.bench.keras_operations import keras_function

            return keras_function(case)


LEGEND = f"""\
{READING}
dx and dW are the gradients of the input and of the weights, each computed alone. Before it is timed, every contender's
result is compared with jaxcnn's, to {TOLERANCE:g} of the greatest magnitude; dropout by what it keeps.
"""


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """The tables of every section. `peak` is in FLOP/s."""
    parts = [LEGEND]
    for section in dict.fromkeys(result.case.section for result in results):
        lines = [
            Line(
                f"{result.case.name} {result.product}", result.timings, result.case.flops(batch),
                result.case.goals.get(result.product, ()),
            )
            for result in results if result.case.section == section
        ]  # fmt: skip
        parts += [f"## {section}\n", summary(lines, peak), "", times(lines), ""]
    return "\n".join(parts)
