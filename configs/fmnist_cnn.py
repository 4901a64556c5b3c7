"""The deck's convolutional network on Fashion-MNIST (EE 541 unit 8), which reaches about 93.5% there."""

from jaxcnn.config import DataConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="fmnist_cnn",
    network="fmnist_cnn",
    data=DataConfig("tfds:fashion_mnist", crop_padding=2, flip=True),
    optimizer=OptimizerConfig("adam", lr=2e-3, schedule="cosine", warmup_epochs=1),
    epochs=20,
    batch_size=128,
)
