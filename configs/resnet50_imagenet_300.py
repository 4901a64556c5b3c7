"""ResNet-50 on ImageNet in 300 epochs, as procedure A2 of Wightman, Touvron and Jegou 2021: 79.8%.

LAMB of rate 5e-3 for batches of 2,048, binary cross-entropy, RandAugment, MixUp and CutMix, stochastic depth, each
image three times in an epoch. On devices that do not hold such a batch, `--accumulate 8` goes through it in parts.
"""

from jaxcnn.config import (
    LAMB,
    Classification,
    Cosine,
    CutMix,
    DataConfig,
    Flip,
    MixUp,
    OptimizerConfig,
    ResizedCrop,
    TrainConfig,
)
from jaxcnn.data.augment import TimmRandAugment

config = TrainConfig(
    name="resnet50_imagenet_300",
    network="resnet50",
    stochastic_depth=0.05,
    task=Classification(binary=True),
    data=DataConfig(
        "tfds:imagenet2012",
        size=(224, 224),
        resize=236,  # of which 224 are 95%
        channels=3,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        repeats=3,
        augment=(ResizedCrop(), Flip(), TimmRandAugment("rand-m7-mstd0.5-inc1"), MixUp(0.1), CutMix(1.0)),
    ),
    optimizer=OptimizerConfig(LAMB(weight_decay=0.02), lr=5e-3, lr_batch=2048, schedule=Cosine(1e-6), warmup_epochs=5),
    epochs=300,
    batch_size=2048,
)
