"""One door to all explanations: `explain`, and the table of methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.visualize.cam import Kind, enlarge, gradcam
from jaxcnn.visualize.covering import occlusion, spread, windows_over
from jaxcnn.visualize.gradients import integrated_gradients, rectified, saliency, score_of
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.scores import Numbers, Score, checked


class Explanation(NamedTuple):
    """What speaks for a score in images, by one method.

    `map` (N, H, W) is signed: positive where a pixel speaks for the score. `raw` is what it was made of: a gradient
    (N, H, W, C), a layer's map (N, h, w) or drops (N, rows, columns). `values` are the scores, (N,). `residual` is what
    the map's sum lacks of the difference of scores that it promises, (N,), or None. `about` says in words which layer,
    which window, which baseline.
    """

    method: str
    score: Score
    map: np.ndarray
    raw: np.ndarray
    values: np.ndarray
    residual: np.ndarray | None
    about: str
    at: str | None
    options: Mapping[str, Any]


class _Made(NamedTuple):
    map: Array | np.ndarray
    raw: Array
    about: str
    residual: Array | None = None


def explain(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score | Numbers, method: str = "gradcam",
    at: str | None = None, **options: Any,
) -> Explanation:  # fmt: skip
    """Explain the scores of images by one of METHODS.

    Args:
      net, params, batch_stats: a network and its arrays.
      x: (N, H, W, C), what the network takes.
      score: what is explained: a value of `scores`, or classes, whose logits it then is.
      method: "saliency", "integrated_gradients", "guided", "deconvnet", "gradcam", "gradcam++", "hirescam" or
        "occlusion".
      at: the layer of a class activation map; None is the last one with a map of its own.
      options: `baseline`, `steps` and `tolerance` of integrated gradients; `window`, `stride` and `fill` of occlusion.

    Raises:
      ValueError: what the network does not have or the method does not admit.
      TypeError: an option that the method does not have.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    if at is not None and method not in CAMS:
        raise ValueError(f"{method} has no layer: leave out {at!r}, or choose one of {', '.join(CAMS)}")
    if len(x.shape) != 4:
        raise ValueError(f"images are (N, H, W, C), not of {len(x.shape)} dimensions")
    score = checked(score, net, x.shape[1:])
    if at is not None:
        options = {"at": at, **options}
    made = METHODS[method](net, params, batch_stats, x, score, **options)
    options.pop("at", None)
    residual = None if made.residual is None else np.asarray(made.residual)
    values = np.asarray(score_of(net, params, batch_stats, x, score))
    return Explanation(
        method, score, np.asarray(made.map), np.asarray(made.raw), values, residual, made.about, at, options
    )


def _saliency(net: Spec, params: Params, batch_stats: Params, x: Array, score: Score) -> _Made:
    gradient = saliency(net, params, batch_stats, x, score)
    return _Made(jnp.abs(gradient).max(-1), gradient, "largest absolute gradient of the channels")


def _rectified(rule: str) -> Callable[..., _Made]:
    def method(net: Spec, params: Params, batch_stats: Params, x: Array, score: Score) -> _Made:
        gradient = rectified(net, params, batch_stats, x, score, rule, scaled=rule == "deconvnet")
        return _Made(gradient.sum(-1), gradient, "sum of the channels")

    return method


def _integrated(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score, baseline: Array | float = 0.0,
    steps: int = 50, tolerance: float | None = None,
) -> _Made:  # fmt: skip
    made = integrated_gradients(net, params, batch_stats, x, score, baseline=baseline, steps=steps, tolerance=tolerance)
    least, most = int(np.min(made.steps)), int(np.max(made.steps))
    about = f"{least} steps" if least == most else f"{least} to {most} steps"
    return _Made(made.attributions.sum(-1), made.attributions, about, made.residual)


def _cam(kind: Kind) -> Callable[..., _Made]:
    def method(net: Spec, params: Params, batch_stats: Params, x: Array, score: Score, at: str = "auto") -> _Made:
        path = stages(net, x.shape[1:])[-1] if at == "auto" else at
        (maps,) = gradcam(net, params, batch_stats, x, score, [path], kind=kind).values()
        return _Made(
            enlarge(maps, (x.shape[1], x.shape[2])), maps, f"at {path}, {maps.shape[1]}x{maps.shape[2]} places"
        )

    return method


def _occlusion(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score,
    window: int | tuple[int, int] | None = None, stride: int | tuple[int, int] | None = None,
    fill: str | float | Array = "mean",
) -> _Made:  # fmt: skip
    window = max(1, min(x.shape[1:3]) // 4) if window is None else window
    drops = occlusion(net, params, batch_stats, x, window, stride, fill, score=score)
    size = "x".join(map(str, window)) if isinstance(window, tuple) else f"{window}x{window}"
    shown = "their mean" if isinstance(fill, str) else f"{fill:g}" if isinstance(fill, float | int) else "an image"
    maps = spread(drops, windows_over(x.shape[1:], window, stride), (x.shape[1], x.shape[2]))
    return _Made(maps, drops, f"windows of {size} covered by {shown}")


METHODS: dict[str, Callable[..., _Made]] = {
    "saliency": _saliency,
    "integrated_gradients": _integrated,
    "guided": _rectified("guided"),
    "deconvnet": _rectified("deconvnet"),
    "gradcam": _cam("gradcam"),
    "gradcam++": _cam("gradcam++"),
    "hirescam": _cam("hirescam"),
    "occlusion": _occlusion,
}
CAMS = ("gradcam", "gradcam++", "hirescam")
"""Those that look at a layer."""
