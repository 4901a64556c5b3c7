"""A folder of your own images, one folder a class: `python train.py configs/folder.py --data.source folder:PATH`."""

from jaxcnn.config import DataConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="folder",
    network="cifar_cnn",
    data=DataConfig("folder:images", size=(32, 32), channels=3, crop_padding=4, flip=True),
    optimizer=OptimizerConfig("adam", lr=1e-3, schedule="cosine", warmup_epochs=1),
    epochs=20,
    batch_size=32,
)
