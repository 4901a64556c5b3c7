"""ResNet-20, trained on CIFAR-10, learns its ten classes again from 500 images of each, which JPEG has made coarser.

The weights are akamaster's (github.com/akamaster/pytorch_resnet_cifar10, pretrained_models/resnet20-12fca82f.th), and
so are `mean` and `std`; the last layer is new. As it stands all layers learn. The last one alone: `--freeze conv1 bn1
layer1 layer2 layer3`; the second half: `--freeze conv1 bn1 layer1`; from scratch: `--weights None --head load
--optimizer.lr 0.1`.
"""

from jaxcnn.config import SGD, Crop, DataConfig, Flip, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="finetune_cifar",
    network="resnet20",
    weights="data/resnet20-12fca82f.th",
    head="new",
    data=DataConfig(
        "folder:data/cifar10-jpeg.tar.xz",
        train_fraction=0.1,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        augment=(Crop(4), Flip()),
    ),
    optimizer=OptimizerConfig(SGD(weight_decay=5e-4), lr=0.01, warmup_epochs=1),
    epochs=15,
    batch_size=64,
    evaluate_every=5,
)
