"""Write visualize.npz: what captum, grad-cam and foolbox say of LeNet-5 and of the public ResNet-20, in float64.

    python -m tests.goldens.make_visualize SHARED_DATA

Needs PyTorch, captum, grad-cam, foolbox and safetensors, and the folder with resnet20-cifar10/ and cifar10-jpeg.tar.xz.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import foolbox
import numpy as np
import torch
from captum.attr import GuidedBackprop, IntegratedGradients, LayerGradCam, NeuronDeconvolution, Occlusion, Saliency
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from tests.goldens import rule
from tests.goldens.make_torchvision import OPERATORS

FILE = Path(__file__).with_name("visualize.npz")
PICTURES = ("test/cat/0000.jpg", "test/ship/0000.jpg")
CLASSES = (3, 8)
UNIT = (3, 5, 8)  # channel, row, column of LeNet's act2
EPSILON = 8 / 255


def gradcam_plus_plus():
    """grad-cam's class; its package imports torchvision, whose wheel looks for compiled operators."""
    library = torch.library.Library("torchvision", "DEF")
    for schema in OPERATORS.values():
        library.define(schema)
    from pytorch_grad_cam import GradCAMPlusPlus
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    return GradCAMPlusPlus, ClassifierOutputTarget


def lenet() -> nn.Module:
    """LeNet-5 with rectifiers and maximum pools, its weights by the rule."""
    net = nn.Sequential()
    for name, layer in {
        "conv1": nn.Conv2d(1, 6, 5, padding=2), "act1": nn.ReLU(), "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(6, 16, 5), "act2": nn.ReLU(), "pool2": nn.MaxPool2d(2), "flatten": nn.Flatten(),
        "fc1": nn.Linear(400, 120), "act3": nn.ReLU(), "fc2": nn.Linear(120, 84), "act4": nn.ReLU(),
        "fc3": nn.Linear(84, 10),
    }.items():  # fmt: skip
        net.add_module(name, layer)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    weights = rule.torch_weights(shapes, "lenet5")
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return net.double().eval()


class Block(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        stride = 1 if inputs == width else 2
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU()
        self.zeros = width // 4 if stride == 2 else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        if self.zeros:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.zeros, self.zeros))
        return self.act2(y + x)


class ResNet20(nn.Module):
    """With the parameters' names of the public weights. It takes pixels from 0 to 1."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.conv1, self.bn1, self.act1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        widths = (16, 16, 32, 64)
        for number in 1, 2, 3:
            first = Block(widths[number - 1], widths[number])
            rest = [Block(widths[number], widths[number]) for _ in range(2)]
            setattr(self, f"layer{number}", nn.Sequential(first, *rest))
        self.linear = nn.Linear(64, 10)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1))
        state = {name.removeprefix("module."): value for name, value in load_file(file).items()}
        missing, unexpected = self.load_state_dict(state, strict=False)
        assert not unexpected and set(missing) <= {"mean", "std"} | {n for n in missing if "num_batches" in n}
        self.double().eval()
        self.mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).reshape(3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).reshape(3, 1, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.act1(self.bn1(self.conv1((pixels - self.mean) / self.std)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def channels_last(values: torch.Tensor | np.ndarray) -> np.ndarray:
    array = np.asarray(values.detach() if isinstance(values, torch.Tensor) else values)
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def explained(net: nn.Module, layer: nn.Module, x: torch.Tensor, classes: list[int]) -> dict[str, np.ndarray]:
    """What every method says of the classes of images."""
    x = x.clone().requires_grad_()
    plus, target = gradcam_plus_plus()
    found = {
        "logits": net(x),
        "saliency": Saliency(net).attribute(x, target=classes, abs=False),
        "gradcam": LayerGradCam(net, layer).attribute(x, classes)[:, 0],
        "guided": GuidedBackprop(net).attribute(x, target=classes),
        "integrated": IntegratedGradients(net).attribute(
            x, torch.zeros_like(x), classes, n_steps=50, method="riemann_middle"
        ),
    }
    for size, step in (8, 8), (8, 6):
        shape = (x.shape[1], size, size)
        found[f"occlusion_{size}_{step}"] = Occlusion(net).attribute(
            x, shape, (1, step, step), baselines=0, target=classes
        )[:, :1]
    cam = plus(model=net, target_layers=[layer])
    cam(x, [target(number) for number in classes])
    hooks = cam.activations_and_grads
    features, gradients = (np.asarray(values[0], np.float64) for values in (hooks.activations, hooks.gradients))
    weights = cam.get_cam_weights(x, [layer], None, features, gradients)
    found["gradcam++"] = (weights[:, :, None, None] * features).sum(1)
    hooks.release()
    return {name: rule.sample(channels_last(values)) for name, values in found.items()}


def attacked(net: nn.Module, x: torch.Tensor, labels: list[int]) -> dict[str, np.ndarray]:
    """The digests of what the attacks make of images."""
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    truth = torch.tensor(labels)
    descent = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=EPSILON / 4, steps=10, random_start=False)
    attacks = {"fgsm": foolbox.attacks.LinfFastGradientAttack(random_start=False), "pgd": descent}
    changed = {name: attack.run(model, x.clone(), truth, epsilon=EPSILON) for name, attack in attacks.items()}
    return {name: np.array(rule.digest(channels_last(values))) for name, values in changed.items()}


def pictures(archive: Path) -> torch.Tensor:
    with tarfile.open(archive) as file:
        read = [Image.open(io.BytesIO(file.extractfile(name).read())) for name in PICTURES]  # type: ignore[union-attr]
    return torch.from_numpy(np.stack([np.asarray(image) for image in read]).transpose(0, 3, 1, 2) / 255)


def main(shared: Path) -> None:
    net, images = lenet(), torch.from_numpy(rule.image((28, 28, 1))).permute(0, 3, 1, 2).double()
    labels = net(images).argmax(1).tolist()
    found = {f"lenet/{name}": value for name, value in explained(net, net.act2, images, labels).items()}
    unit = NeuronDeconvolution(net, net.act2).attribute(images.clone().requires_grad_(), UNIT)
    found["lenet/deconvolution"] = rule.sample(channels_last(unit))
    bounded = (images / 8 + 0.5).clamp(0, 1)
    found |= {f"lenet/{name}": value for name, value in attacked(net, bounded, net(bounded).argmax(1).tolist()).items()}
    net, images = ResNet20(shared / "resnet20-cifar10/resnet20.safetensors"), pictures(shared / "cifar10-jpeg.tar.xz")
    labels = list(CLASSES)
    found |= {f"resnet20/{name}": value for name, value in explained(net, net.layer3, images, labels).items()}
    found |= {f"resnet20/{name}": value for name, value in attacked(net, images, labels).items()}
    np.savez_compressed(FILE, **found)
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
