"""What is learned, as values: a task has a file with its dataclass, and a row here."""

from __future__ import annotations

from jaxcnn.tasks.classification import Classification
from jaxcnn.tasks.distillation import Distillation
from jaxcnn.tasks.penalty import Penalty
from jaxcnn.tasks.reconstruction import Reconstruction
from jaxcnn.tasks.task import Metric, Task

TASKS = Task.table({"classification": Classification, "reconstruction": Reconstruction})

__all__ = ["TASKS", "Classification", "Distillation", "Metric", "Penalty", "Reconstruction", "Task"]
