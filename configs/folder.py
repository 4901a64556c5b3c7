"""A folder of your own images, one folder a class: `python train.py configs/folder.py --data.source folder:PATH`.

ResNet-18, trained on ImageNet, learns other classes: its first half stays as it is. The first use downloads its
weights, 45 MB. `mean` and `std` are theirs. From scratch, and quickly: `--network cifar_cnn --weights None --head load
--freeze --data.size 32 32 --epochs 20`.
"""

from jaxcnn.config import Adam, Cosine, Crop, DataConfig, Flip, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="folder",
    network="resnet18",
    weights="imagenet",
    head="new",
    freeze=("conv1", "bn1", "layer1", "layer2"),
    data=DataConfig(
        "folder:images",
        size=(224, 224),
        channels=3,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        augment=(Crop(16), Flip()),
    ),
    optimizer=OptimizerConfig(Adam(), lr=1e-3, schedule=Cosine(), warmup_epochs=1),
    epochs=8,
    batch_size=32,
)
