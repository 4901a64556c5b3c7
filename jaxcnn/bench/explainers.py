"""What captum, grad-cam, foolbox and plain PyTorch make of the same rows, in every way that they can be asked.

Each library is a function (row, problem, fewer) to `{how: work}`; a row that it does not know is a KeyError. How is the
memory layout, and how many images it is told to take at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import numpy as np
import torch
from torch import Tensor

from jaxcnn.bench import seeing
from jaxcnn.bench.seeing import Problem, Work, images_of, start_of
from jaxcnn.bench.torch_resnet20 import ResNet20
from jaxcnn.visualize.cam import enlarge
from jaxcnn.weights.torch import to_torch

Ways = dict[str, Work]
LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
AT_ONCE = (16, 32, 64, 169)  # images
TINY = 1e-7  # what grad-cam adds to a maximum


def _networks(given: Problem) -> Iterator[tuple[str, ResNet20, Callable[[np.ndarray], Tensor]]]:
    """Every memory layout with the network, and what makes tensors of images."""
    state = to_torch(given.net, given.params, given.batch_stats, seeing.SHAPE)
    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    for name, layout in LAYOUTS.items():
        model = ResNet20(state).to(device=device, memory_format=layout)  # type: ignore[call-overload]

        def tensor(images: np.ndarray, layout: torch.memory_format = layout) -> Tensor:
            return torch.from_numpy(images.transpose(0, 3, 1, 2)).to(device).contiguous(memory_format=layout)

        yield name, model, tensor


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    arrays = [each.detach().cpu().numpy() for each in tensors]
    return [each.transpose(0, 2, 3, 1) if each.ndim == 4 else each for each in arrays]


def by_captum(row: str, given: Problem, fewer: bool) -> Ways:
    """Occlusion, LayerGradCam and IntegratedGradients."""
    from captum.attr import IntegratedGradients, LayerGradCam, Occlusion  # type: ignore[import-not-found]

    ways: Ways = {}
    window, stride = (3, seeing.WINDOW, seeing.WINDOW), (3, seeing.STRIDE, seeing.STRIDE)
    for layout, model, tensor in _networks(given):
        x = tensor(images_of(row, given))
        if row in ("occlusion", "occlusion of all classes"):
            target = seeing.CLASS if row == "occlusion" else None
            for count in AT_ONCE:

                def covered(model=model, x=x, target=target, count=count) -> list[np.ndarray]:
                    covering = Occlusion(model).attribute(
                        x, window, stride, seeing.FILL, target, perturbations_per_eval=count
                    )
                    return _arrays(covering[:, 0])

                ways[f"{layout}, {count} at once"] = covered
        elif row in ("Grad-CAM", "Grad-CAM of 64 images"):

            def attended(model=model, x=x) -> list[np.ndarray]:
                layers = [getattr(model, name) for name in seeing.DEPTHS]
                asked = x.clone().requires_grad_()
                return _arrays(*(LayerGradCam(model, layer).attribute(asked, seeing.CLASS)[:, 0] for layer in layers))

            ways[layout] = attended
        elif row == "integrated gradients":
            for count in (*(each for each in AT_ONCE if each < seeing.POINTS), seeing.POINTS):

                def integrated(model=model, x=x, count=count) -> list[np.ndarray]:
                    options = {"n_steps": seeing.POINTS, "method": "riemann_middle", "internal_batch_size": count}
                    return _arrays(IntegratedGradients(model).attribute(x, 0.0, seeing.CLASS, **options))

                ways[f"{layout}, {count} at once"] = integrated
        else:
            raise KeyError(row)
    return ways


def by_grad_cam(row: str, given: Problem, fewer: bool) -> Ways:
    """GradCAM of all depths at once: it returns the mean of what it has cut at 0, scaled and enlarged."""
    if not row.startswith("Grad-CAM"):
        raise KeyError(row)
    from pytorch_grad_cam import GradCAM  # type: ignore[import-not-found]
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # type: ignore[import-not-found]

    ways: Ways = {}
    for layout, model, tensor in _networks(given):
        x = tensor(images_of(row, given)).requires_grad_()
        cam = GradCAM(model, [getattr(model, name) for name in seeing.DEPTHS])
        targets = [ClassifierOutputTarget(seeing.CLASS)] * len(x)

        def attended(cam=cam, x=x, targets=targets) -> list[np.ndarray]:
            return [cam(x, targets)]

        ways[layout] = attended
    return ways


def as_grad_cam(maps: list[np.ndarray]) -> list[np.ndarray]:
    """Raw maps (N, h, w) of several depths as grad-cam returns them: one map (N, H, W) of numbers from 0 to 1."""

    def scaled(values: np.ndarray) -> np.ndarray:
        values = values - values.min((1, 2), keepdims=True)
        return values / (TINY + values.max((1, 2), keepdims=True))

    size = seeing.SHAPE[0], seeing.SHAPE[1]
    enlarged = [np.asarray(enlarge(scaled(np.maximum(each, 0)), size)) for each in maps]  # type: ignore[arg-type]
    return [scaled(np.mean(enlarged, 0))]


def by_foolbox(row: str, given: Problem, fewer: bool) -> Ways:
    """Projected gradient descent without a random start."""
    if row != "PGD of 64 images":
        raise KeyError(row)
    import foolbox  # type: ignore[import-not-found]

    ways: Ways = {}
    for layout, model, tensor in _networks(given):
        x = tensor(given.images)
        labels = torch.from_numpy(given.labels).to(x.device)
        asked = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
        steps = seeing.FEWER if fewer else seeing.DESCENT
        attack = foolbox.attacks.LinfProjectedGradientDescentAttack(
            abs_stepsize=seeing.EPSILON / 4, steps=steps, random_start=False
        )

        def attacked(attack=attack, asked=asked, x=x, labels=labels) -> list[np.ndarray]:
            return _arrays(attack.run(asked, x, labels, epsilon=seeing.EPSILON))

        ways[layout] = attacked
    return ways


def by_torch(row: str, given: Problem, fewer: bool) -> Ways:
    """Gradient ascent with PyTorch's Adam, as one writes it: none of the three libraries has any."""
    if row != "64 filters maximized":
        raise KeyError(row)
    ways: Ways = {}
    for layout, model, tensor in _networks(given):
        begin, numbers = tensor(start_of(given)), torch.arange(seeing.FILTERS)

        def maximized(model=model, begin=begin, numbers=numbers) -> list[np.ndarray]:
            pixels = begin.clone().requires_grad_()
            rule = torch.optim.Adam([pixels], seeing.RATE)
            for _ in range(seeing.FEWER if fewer else seeing.ASCENT):
                maps = model.layer3(model.layer2(model.layer1(model.relu(model.bn1(model.conv1(pixels))))))
                (pixels.grad,) = torch.autograd.grad(-maps[numbers, numbers].sum(), pixels)
                rule.step()
                with torch.no_grad():
                    pixels.clamp_(0, 1)
            return _arrays(pixels)

        ways[layout] = maximized
    return ways


MAKERS: dict[str, Callable[[str, Problem, bool], Ways]] = {
    "captum": by_captum,
    "grad-cam": by_grad_cam,
    "foolbox": by_foolbox,
    "torch": by_torch,
}
"""The ways of each library."""
