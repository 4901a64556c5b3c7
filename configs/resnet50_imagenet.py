"""ResNet-50 on ImageNet in 90 epochs, as in He et al. 2015 and Goyal et al. 2017: 76.1% (torchvision's first weights).

SGD of rate 0.1 for every 256 images, divided by 10 after 30, 60 and 80 epochs, five epochs of warm-up.
"""

from jaxcnn.config import SGD, DataConfig, Flip, OptimizerConfig, Penalty, ResizedCrop, Step, TrainConfig

config = TrainConfig(
    name="resnet50_imagenet",
    network="resnet50",
    data=DataConfig(
        "tfds:imagenet2012",
        size=(224, 224),
        resize=256,
        channels=3,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        augment=(ResizedCrop(), Flip()),
    ),
    optimizer=OptimizerConfig(
        SGD(momentum=0.9, nesterov=False), lr=0.1, lr_batch=256, schedule=Step((30, 60, 80)), warmup_epochs=5
    ),
    penalty=Penalty(l2=1e-4),  # in the gradient, so that momentum carries it too, as in those papers
    epochs=90,
    batch_size=256,
)
