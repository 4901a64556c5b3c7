"""One hidden layer on Fashion-MNIST: the deck's comparison without convolution, about 88% there."""

from jaxcnn.config import Adam, Cosine, DataConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="fmnist_mlp",
    network="mlp",
    data=DataConfig("tfds:fashion_mnist"),
    optimizer=OptimizerConfig(Adam(), lr=1e-3, schedule=Cosine()),
    epochs=15,
    batch_size=128,
)
