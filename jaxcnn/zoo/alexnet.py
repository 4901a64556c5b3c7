"""AlexNet, twice: as Krizhevsky wrote it for one GPU in 2014, and the network of 2012 with its two halves."""

from jaxcnn.spec import Act, AdaptivePool, Conv, Dense, Dropout, Flatten, Graph, LocalResponseNorm, Pool, seq


def alexnet(classes: int = 1000, rate: float = 0.5) -> Graph:
    """Five convolutions and three dense layers; 61,100,840 parameters. For 224x224x3, at least 63x63.

    Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014), with torchvision's names: no
    groups, no local response normalization, 64 first kernels. `rate` is that of the two dropouts.
    """
    features = seq(
        Conv(64, 11, 4, padding=2, bias=True), Act(), Pool("max", 3, 2),
        Conv(192, 5, bias=True), Act(), Pool("max", 3, 2),
        Conv(384, bias=True), Act(),
        Conv(256, bias=True), Act(),
        Conv(256, bias=True), Act(), Pool("max", 3, 2),
    )  # fmt: skip
    classifier = seq(Dropout(rate), Dense(4096), Act(), Dropout(rate), Dense(4096), Act(), Dense(classes))
    return seq(features=features, avgpool=AdaptivePool(6), flatten=Flatten(), classifier=classifier)


def alexnet_2012(classes: int = 1000, rate: float = 0.5, padding: int = 0) -> Graph:
    """The network that won ImageNet in 2012, its two GPUs as groups of 2; 60,965,224 parameters. For 227x227x3.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (2012), section
    3. The order is convolution, ReLU, normalization, pool. Groups stand where the paper's GPUs do not exchange maps: in
    the second, fourth and fifth convolution; the normalization reaches over the border between the halves. The paper
    says 224 pixels, from which its 55x55 places follow only with padding: `padding=2` takes 224.
    """
    # alpha: the paper multiplies the plain sum of 5 squares by 1e-4, and this leaf their mean by alpha.
    norm = LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
    return seq(
        conv1=Conv(96, 11, 4, padding=padding, bias=True), relu1=Act(), norm1=norm, pool1=Pool("max", 3, 2),
        conv2=Conv(256, 5, groups=2, bias=True), relu2=Act(), norm2=norm, pool2=Pool("max", 3, 2),
        conv3=Conv(384, bias=True), relu3=Act(),
        conv4=Conv(384, groups=2, bias=True), relu4=Act(),
        conv5=Conv(256, groups=2, bias=True), relu5=Act(), pool5=Pool("max", 3, 2),
        flatten=Flatten(),
        fc6=Dense(4096), relu6=Act(), drop6=Dropout(rate),
        fc7=Dense(4096), relu7=Act(), drop7=Dropout(rate),
        fc8=Dense(classes),
    )  # fmt: skip
