"""LeNet-5 on MNIST (LeCun et al. 1998), with small shifts of the images."""

from jaxcnn.config import Adam, Cosine, Crop, DataConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="mnist_lenet5",
    network="lenet5",
    data=DataConfig("tfds:mnist", augment=(Crop(2),)),
    optimizer=OptimizerConfig(Adam(), lr=2e-3, schedule=Cosine(), warmup_epochs=1),
    epochs=20,
    batch_size=128,
)
