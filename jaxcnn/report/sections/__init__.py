"""The sections of the page, in order: each a function from a run to a value."""

from collections.abc import Callable

from jaxcnn.report.blocks import Section
from jaxcnn.report.examined import Examined
from jaxcnn.report.sections.confusion import confusion
from jaxcnn.report.sections.cost import cost
from jaxcnn.report.sections.data import data
from jaxcnn.report.sections.examples import examples
from jaxcnn.report.sections.fooled import fooled
from jaxcnn.report.sections.limits import limits
from jaxcnn.report.sections.looks import looks
from jaxcnn.report.sections.mistakes import mistakes
from jaxcnn.report.sections.neighbors import neighbors
from jaxcnn.report.sections.network import network
from jaxcnn.report.sections.outcome import outcome
from jaxcnn.report.sections.reproduction import reproduction
from jaxcnn.report.sections.sees import sees
from jaxcnn.report.sections.training import training
from jaxcnn.report.sections.weights import weights

SECTIONS: dict[str, Callable[[Examined], Section]] = {
    "data": data,
    "network": network,
    "training": training,
    "result": outcome,
    "confusion": confusion,
    "examples": examples,
    "mistakes": mistakes,
    "sees": sees,
    "looks": looks,
    "fooled": fooled,
    "neighbors": neighbors,
    "weights": weights,
    "cost": cost,
    "reproduction": reproduction,
    "limits": limits,
}
"""Every section by its anchor."""

__all__ = ["SECTIONS"]
