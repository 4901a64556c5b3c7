"""SqueezeNet (Iandola et al. 2016, table 1): fire modules squeeze the channels, then expand them by 1x1 and 3x3."""

from jaxcnn.spec import Act, Conv, Dropout, GlobalPool, Graph, Pool, Spec, concat, seq


def squeezenet1_0(classes: int = 1000, rate: float = 0.5) -> Graph:
    """The paper's network without bypass; 1,248,424 parameters. For 224x224x3, at least 21x21.

    `rate` is that of the dropout before the last convolution.
    """
    features = seq(
        Conv(96, 7, 2, "valid", bias=True), Act(), _pool(),
        _fire(16, 64), _fire(16, 64), _fire(32, 128), _pool(),
        _fire(32, 128), _fire(48, 192), _fire(48, 192), _fire(64, 256), _pool(),
        _fire(64, 256),
    )  # fmt: skip
    return _classified(features, classes, rate)


def squeezenet1_1(classes: int = 1000, rate: float = 0.5) -> Graph:
    """The authors' later one, with earlier pools, 2.3 times cheaper; 1,235,496 parameters. At least 17x17."""
    features = seq(
        Conv(64, 3, 2, "valid", bias=True), Act(), _pool(),
        _fire(16, 64), _fire(16, 64), _pool(),
        _fire(32, 128), _fire(32, 128), _pool(),
        _fire(48, 192), _fire(48, 192), _fire(64, 256), _fire(64, 256),
    )  # fmt: skip
    return _classified(features, classes, rate)


def _pool() -> Pool:
    return Pool("max", 3, 2, ceil_mode=True)


def _fire(squeezed: int, expanded: int) -> Graph:
    expand = {"expand1x1": Conv(expanded, 1, bias=True), "expand3x3": Conv(expanded, bias=True)}
    return seq(squeeze=Conv(squeezed, 1, bias=True), squeeze_activation=Act(), _expand=concat(**expand, then=Act()))


def _classified(features: Spec, classes: int, rate: float) -> Graph:
    classifier = seq(Dropout(rate), Conv(classes, 1, bias=True), Act(), GlobalPool())
    return seq(features=features, classifier=classifier)
