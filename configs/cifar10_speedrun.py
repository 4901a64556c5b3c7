"""CIFAR-10 on one GPU, as fast as it goes: Jordan's network (airbench, 2024) with whitening, Muon and eight epochs.

Twenty runs, and their mean and spread: `python train.py configs/cifar10_speedrun.py --seeds 20`. A whole epoch is one
program for the device.
"""

from jaxcnn.config import (
    AlternatingFlip,
    Classification,
    Crop,
    DataConfig,
    Muon,
    OptimizerConfig,
    Polynomial,
    TrainConfig,
    Views,
)

config = TrainConfig(
    name="cifar10_speedrun",
    network="airbench",
    whiten=True,
    freeze=("whiten",),
    task=Classification(label_smoothing=0.2),
    data=DataConfig("tfds:cifar10", augment=(AlternatingFlip(), Crop(2, "reflect"))),
    optimizer=OptimizerConfig(Muon(momentum=0.6), lr=0.02, schedule=Polynomial()),
    epochs=8,
    batch_size=2000,
    precision="bfloat16",
    views=Views(flip=True, shift=1),
    evaluate_every=8,
    steps_per_dispatch=25,
)
