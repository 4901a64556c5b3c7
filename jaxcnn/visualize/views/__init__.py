"""Figures of a trained network, one function each: (subject, shown, asked) -> panels and sentences."""

from collections.abc import Callable

from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.depths import depths, patches
from jaxcnn.visualize.views.evolution import evolution
from jaxcnn.visualize.views.examples import neighbors, patterns
from jaxcnn.visualize.views.explanations import explanations
from jaxcnn.visualize.views.fields import fields
from jaxcnn.visualize.views.filters import filters
from jaxcnn.visualize.views.fooled import fooled, robustness
from jaxcnn.visualize.views.maps import maps
from jaxcnn.visualize.views.maximized import classes, units
from jaxcnn.visualize.views.predictions import confusions, predictions
from jaxcnn.visualize.views.view import Asked, Examples, Shown, View

VIEWS: dict[str, Callable[[Subject, Shown, Asked], View]] = {
    "explanations": explanations,
    "depths": depths,
    "patches": patches,
    "predictions": predictions,
    "maps": maps,
    "filters": filters,
    "units": units,
    "classes": classes,
    "fooled": fooled,
    "robustness": robustness,
    "patterns": patterns,
    "evolution": evolution,
    "neighbors": neighbors,
    "fields": fields,
    "confusions": confusions,
}
"""Every view by its name."""

__all__ = ["VIEWS", "Asked", "Examples", "Shown", "Subject", "View"]
