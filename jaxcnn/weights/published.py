"""The published weights by name: torchvision's and Keras's files, with their checksums and their preprocessing."""

from __future__ import annotations

from typing import NamedTuple

from jaxcnn.weights.preprocessing import Preprocessing, keras_preprocessing

TORCHVISION = "https://download.pytorch.org/models/"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"

# A torchvision file's name ends in the first digits of its SHA-256. These are the weights that torchvision calls
# IMAGENET1K_V1, and V2, which are of the same networks trained longer.
_FILES = {
    "imagenet": """
        alexnet-owt-7be5be79 vgg11-8a719046 vgg13-19584684 vgg16-397923af vgg19-dcbb9e9d vgg11_bn-6002323d
        vgg13_bn-abd245e5 vgg16_bn-6c64b313 vgg19_bn-c79401a0 squeezenet1_0-b66bff10 squeezenet1_1-b8a52dc0
        densenet121-a639ec97 densenet161-8d451a50 densenet169-b2777c0a densenet201-c1103571 googlenet-1378be20
        inception_v3_google-0cc3c7bd resnet18-f37072fd resnet34-b627a593 resnet50-0676ba61 resnet101-63fe2227
        resnet152-394f9c45 resnext50_32x4d-7cdf4587 resnext101_32x8d-8ba56ff5 wide_resnet50_2-95faca4d
        mobilenet_v2-b0353104 mobilenet_v3_small-047dcff4 mobilenet_v3_large-8738ca79 shufflenetv2_x0.5-f707e7126e
        shufflenetv2_x1-5666bf0f80 mnasnet0.5_top1_67.823-3ffadce67e mnasnet1.0_top1_73.512-f206786ef8
        efficientnet_b0_rwightman-7f5810bc convnext_tiny-983f1562""",
    "imagenet_v2": """
        resnet50-11ad3fa6 resnet101-cd907fc2 resnet152-f82ba261 resnext50_32x4d-1a0047aa resnext101_32x8d-110c445d
        wide_resnet50_2-9ba9bcbe mobilenet_v2-7ebf99e0 mobilenet_v3_large-5c1a4163""",
}
_CALLED = {
    "alexnet-owt": "alexnet", "inception_v3_google": "inception_v3", "shufflenetv2_x0.5": "shufflenet_v2_x0_5",
    "shufflenetv2_x1": "shufflenet_v2_x1_0", "mnasnet0.5_top1_67.823": "mnasnet0_5",
    "mnasnet1.0_top1_73.512": "mnasnet1_0", "efficientnet_b0_rwightman": "efficientnet_b0",
}  # fmt: skip
_HALF = (0.5, 0.5, 0.5)
_PREPROCESSING = {
    # Their weights come from TensorFlow; torchvision normalizes twice to the same effect (`transform_input`).
    "googlenet": Preprocessing(mean=_HALF, std=_HALF),
    "inception_v3": Preprocessing(342, 299, mean=_HALF, std=_HALF),
    "efficientnet_b0": Preprocessing(interpolation="bicubic"),
    "convnext_tiny": Preprocessing(236),
}
# Keras's own networks, all with pixels from -1 to 1: path, MD5, size.
_KERAS_FILES = {
    "resnet50v2": ("resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels.h5", "3ef43a0b657b3be2300d5770ece849e0", 224),
    "resnet101v2": (
        "resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels.h5", "6343647c601c52e1368623803854d971", 224,
    ),
    "resnet152v2": (
        "resnet/resnet152v2_weights_tf_dim_ordering_tf_kernels.h5", "a49b44d1979771252814e80f8ec446f9", 224,
    ),
    "xception": ("xception/xception_weights_tf_dim_ordering_tf_kernels.h5", "0a58e3b7378bc2990ea3b43d5981f1f6", 299),
    "inception_resnet_v2": (
        "inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5",
        "e693bd0210a403b3192acc6073ad2e96", 299,
    ),
    "nasnet_mobile": ("nasnet/NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61", 224),
    "nasnet_large": ("nasnet/NASNet-large.h5", "11577c9a518f0070763c2b964a382f17", 331),
}  # fmt: skip


class Published(NamedTuple):
    """A published file: its URL, its checksum (see `download`), and what it wants of an image."""

    url: str
    digest: str
    preprocessing: Preprocessing


def _table() -> dict[tuple[str, str], Published]:
    table = {}
    for weights, files in _FILES.items():
        for file in files.split():
            name, _, digest = file.rpartition("-")
            name = _CALLED.get(name, name)
            preprocessing = (
                Preprocessing(232) if weights == "imagenet_v2" else _PREPROCESSING.get(name, Preprocessing())
            )
            table[name, weights] = Published(f"{TORCHVISION}{file}.pth", f"sha256:{digest}", preprocessing)
    for name, (path, digest, size) in _KERAS_FILES.items():
        table[name, "imagenet"] = Published(KERAS + path, f"md5:{digest}", keras_preprocessing("tf", size))
    return table


PUBLISHED = _table()
