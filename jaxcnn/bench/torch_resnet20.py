"""ResNet-20 in PyTorch as its users write it, with modules that hooks can be hung on: `jaxcnn.zoo`'s, name for name."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 16, 32, 64)  # before the first stage, and of each


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.stride = 1 if inputs == width else 2
        self.conv1 = nn.Conv2d(inputs, width, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:
            zeros = y.shape[1] // 4
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, zeros, zeros))
        return self.last(y + x)


class ResNet20(nn.Module):
    """The network with the weights of a state dict, in evaluation; its parameters ask for no gradients."""

    def __init__(self, state: dict[str, np.ndarray]):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(inputs, width), Block(width, width), Block(width, width))
            for inputs, width in pairwise(WIDTHS)
        )
        self.linear = nn.Linear(64, state["linear.weight"].shape[0])
        self.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, strict=False)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))).mean((2, 3)))
