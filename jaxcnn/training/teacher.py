"""A trained network that teaches another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.tasks import Distillation


@dataclass(frozen=True)
class Teacher:
    """What of a teacher does not change in training; its arrays are arguments of the step."""

    net: Spec
    mean: tuple[float, ...]  # by which it wants its images normalized
    std: tuple[float, ...]
    distillation: Distillation


class Lessons(NamedTuple):
    """A teacher with its arrays, which are not trained and are in no checkpoint of the student."""

    teacher: Teacher
    arrays: tuple[Params, Params]  # parameters and statistics
    fingerprint: str  # of the arrays: a run that is resumed must have the same teacher
