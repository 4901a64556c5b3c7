"""What a network sees, where it looks, and whether the pictures that say so can be trusted.

    explanation = explain(net, params, batch_stats, images, classes, "gradcam")
    checks = check(net, params, batch_stats, images, explanation, jax.random.key(0))

Pure functions of a network, its arrays and what it takes, (N, H, W, C). What is explained is a value of `scores`.
"""

from jaxcnn.charts.panels import figure
from jaxcnn.visualize.attack import adversarial
from jaxcnn.visualize.cam import gradcam
from jaxcnn.visualize.checks import check
from jaxcnn.visualize.covering import occlusion
from jaxcnn.visualize.explanation import explain
from jaxcnn.visualize.maximization import maximize
from jaxcnn.visualize.neighbors import nearest
from jaxcnn.visualize.peaks import strongest
from jaxcnn.visualize.projection import deconvnet

__all__ = [
    "adversarial", "check", "deconvnet", "explain", "figure", "gradcam", "maximize", "nearest", "occlusion",
    "strongest",
]  # fmt: skip
