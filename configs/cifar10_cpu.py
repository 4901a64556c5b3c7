"""CIFAR-10 in ten minutes of two CPU cores, from nothing: a narrow airbench (Jordan 2024) with whitening and Muon."""

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
    name="cifar10_cpu",
    network="airbench",
    network_options={"width": 32},
    whiten=True,
    freeze=("whiten",),
    task=Classification(label_smoothing=0.2),
    data=DataConfig("tfds:cifar10", augment=(AlternatingFlip(), Crop(2, "reflect"))),
    optimizer=OptimizerConfig(Muon(), lr=0.02, schedule=Polynomial()),
    epochs=14,
    batch_size=500,
    views=Views(flip=True, shift=1),
    evaluate_every=14,
)
