"""ResNet-20, trained on CIFAR-10, learns clothes from 2,000 images of Fashion-MNIST: its first third stays as it is.

The weights are akamaster's (github.com/akamaster/pytorch_resnet_cifar10, pretrained_models/resnet20-12fca82f.th), and
so are `mean` and `std`. The same training from scratch: `--weights None --head load --freeze --name scratch_fmnist`.
"""

from jaxcnn.config import SGD, Crop, DataConfig, Flip, OptimizerConfig, TrainConfig

config = TrainConfig(
    name="finetune_fmnist",
    network="resnet20",
    weights="data/resnet20-12fca82f.th",
    head="new",
    freeze=("conv1", "bn1", "layer1"),
    data=DataConfig(
        "tfds:fashion_mnist",
        size=(32, 32),
        channels=3,
        train_fraction=1 / 30,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        augment=(Crop(2), Flip()),
    ),
    optimizer=OptimizerConfig(SGD(weight_decay=5e-4), lr=0.02, warmup_epochs=1),
    epochs=8,
    batch_size=64,
    evaluate_every=4,
)
