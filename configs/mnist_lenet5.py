"""LeNet-5 on MNIST (LeCun et al. 1998), beyond 99.4%: turned, shifted and scaled digits, Muon, running averages.

Chosen among four recipes by a tenth of the training images (results/README.md).
"""

from jaxcnn.config import Affine, Cosine, DataConfig, Muon, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="mnist_lenet5",
    network="lenet5",
    data=DataConfig("tfds:mnist", augment=(Affine(10, translate=(0.1, 0.1), scale=(0.9, 1.1)),)),
    optimizer=OptimizerConfig(Muon(weight_decay=0.01), lr=2e-3, schedule=Cosine(), warmup_epochs=1),
    epochs=60,
    batch_size=128,
    ema=0.999,
)
