"""Every augmentation on a photograph, three times each: python results/augmentations/gallery.py"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images

from jaxcnn.data.augment import AUGMENTATIONS, Mixing

SIDE, TIMES, COLUMNS = 160, 3, 4
china, flower = (jnp.asarray(image[100:420:2, 150:470:2]) for image in load_sample_images().images)


def changed(name: str) -> list[np.ndarray]:
    """The photograph as the augmentation of that name, with its defaults, changes it by three keys."""
    each = AUGMENTATIONS[name](probability=1.0)
    found = []
    for key in jax.random.split(jax.random.key(3), TIMES):
        if isinstance(each, Mixing):
            drawn = each.sample(key, china.shape)
            mixed = each.replay_pair(china / 255.0, flower / 255.0, drawn)
            found.append(np.asarray(jnp.round(255 * mixed), np.uint8))
        else:
            found.append(np.asarray(each(key, china)))
    return found


def main() -> None:
    pictures = {"the photograph": [np.asarray(china)] * TIMES} | {name: changed(name) for name in sorted(AUGMENTATIONS)}
    lines = -(-len(pictures) // COLUMNS)
    figure = Figure(figsize=(4.2 * COLUMNS, 1.75 * lines), layout="constrained")
    axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, (name, images) in zip(axes, pictures.items(), strict=False):
        whole = np.full((SIDE, TIMES * (SIDE + 6), 3), 255, np.uint8)
        for number, image in enumerate(images):
            whole[: image.shape[0], number * (SIDE + 6) : number * (SIDE + 6) + image.shape[1]] = image
        axis.imshow(whole)
        axis.set_title(name, fontsize=11, loc="left")
    figure.savefig(Path(__file__).with_name("gallery.jpg"), dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
