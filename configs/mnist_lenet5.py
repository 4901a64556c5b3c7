"""LeNet-5 on MNIST (LeCun et al. 1998), with small shifts of the images."""

from jaxcnn.config import DataConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="mnist_lenet5",
    network="lenet5",
    data=DataConfig("tfds:mnist", crop_padding=2),
    optimizer=OptimizerConfig("adam", lr=2e-3, schedule="cosine", warmup_epochs=1),
    epochs=20,
    batch_size=128,
)
