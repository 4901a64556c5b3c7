"""Knowledge distillation: learning from the probabilities of a trained network, beside the labels."""

from __future__ import annotations

from dataclasses import dataclass

from jax import Array

from jaxcnn.host.settings import check_types, require
from jaxcnn.tasks.losses import divergence


@dataclass(frozen=True)
class Distillation:
    """Who teaches, and how much of the loss that is (Hinton et al. 2015, section 2)."""

    teacher: str | None = None
    """The folder of a run, of the same classes and size of images, whose network is imitated. None: nobody's."""
    network: str | None = None
    """Of a teacher whose network is module:function, that name: it says that you want the module to be run."""
    temperature: float = 4.0
    """What the logits of both are divided by: above 1, the improbable classes count for more."""
    share: float = 0.9
    """Of the loss, what is the distance to the teacher; the rest is the task's. With 0 the teacher is not asked."""

    def __post_init__(self) -> None:
        check_types(self, "distill.")
        require(self.temperature > 0, f"distill.temperature must be above 0, not {self.temperature}")
        require(0 <= self.share <= 1, f"distill.share must be in [0, 1], not {self.share}")
        require(
            self.teacher or not self.network,
            f"distill.network {self.network} is that of a teacher: give the folder of its run as distill.teacher",
        )

    def __call__(self, losses: Array, logits: Array, of_teacher: Array) -> Array:
        """(1 - share) of the task's losses and `share` of the distance to the teacher: (N,) and twice (N, K) give (N,).

        The distance is KL(teacher || student) of the softmax at the temperature T, times T^2: so its gradient is about
        as large at any temperature.
        """
        distance = self.temperature**2 * divergence(of_teacher / self.temperature, logits / self.temperature)
        return (1 - self.share) * losses + self.share * distance
