"""The deck's network on CIFAR-10 (tutorial 06): Adam at 1e-4, batches of 128, 20 epochs, crops and flips."""

from jaxcnn.config import Adam, Constant, Crop, DataConfig, Flip, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="cifar_cnn",
    network="cifar_cnn",
    data=DataConfig(
        "tfds:cifar10",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        augment=(Crop(4), Flip()),
    ),
    optimizer=OptimizerConfig(Adam(), lr=1e-4, schedule=Constant()),
    epochs=20,
    batch_size=128,
)
