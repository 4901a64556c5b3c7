"""The published weights by name, one row a file: torchvision's and Keras's, with checksum, size and preprocessing."""

from __future__ import annotations

from typing import NamedTuple

from jaxcnn.weights.preprocessing import Preprocessing, keras_preprocessing

TORCHVISION = "https://download.pytorch.org/models/"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"


class Published(NamedTuple):
    """A published file: its URL, its checksum (see `download`), what it wants of an image, its size in MiB.

    The size is that which the publisher's own tables give, to the last digit there.
    """

    url: str
    digest: str
    preprocessing: Preprocessing
    mebibytes: float

    @property
    def largest(self) -> int:
        """Bytes that no such file exceeds: the last digit of the published size may be one of whole MiB."""
        return round((self.mebibytes + 1) * 2**20)


_PLAIN = Preprocessing()
_LONGER = Preprocessing(232)
_CONVNEXT = Preprocessing(236)
_BICUBIC = Preprocessing(interpolation="bicubic")
_LARGE_HALVES = Preprocessing(480, 480, "bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
# The weights come from TensorFlow; torchvision normalizes twice to the same effect (`transform_input`).
_HALVES = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_INCEPTION = Preprocessing(342, 299, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

# Network, weights, file, MiB, preprocessing. A file's name ends in the first digits of its SHA-256. The weights are
# those that torchvision calls IMAGENET1K_V1, and V2, which are of the same networks trained longer.
_OF_TORCHVISION = (
    ("alexnet", "imagenet", "alexnet-owt-7be5be79", 233.087, _PLAIN),
    ("vgg11", "imagenet", "vgg11-8a719046", 506.84, _PLAIN),
    ("vgg13", "imagenet", "vgg13-19584684", 507.545, _PLAIN),
    ("vgg16", "imagenet", "vgg16-397923af", 527.796, _PLAIN),
    ("vgg19", "imagenet", "vgg19-dcbb9e9d", 548.051, _PLAIN),
    ("vgg11_bn", "imagenet", "vgg11_bn-6002323d", 506.881, _PLAIN),
    ("vgg13_bn", "imagenet", "vgg13_bn-abd245e5", 507.59, _PLAIN),
    ("vgg16_bn", "imagenet", "vgg16_bn-6c64b313", 527.866, _PLAIN),
    ("vgg19_bn", "imagenet", "vgg19_bn-c79401a0", 548.143, _PLAIN),
    ("squeezenet1_0", "imagenet", "squeezenet1_0-b66bff10", 4.778, _PLAIN),
    ("squeezenet1_1", "imagenet", "squeezenet1_1-b8a52dc0", 4.729, _PLAIN),
    ("densenet121", "imagenet", "densenet121-a639ec97", 30.845, _PLAIN),
    ("densenet161", "imagenet", "densenet161-8d451a50", 110.369, _PLAIN),
    ("densenet169", "imagenet", "densenet169-b2777c0a", 54.708, _PLAIN),
    ("densenet201", "imagenet", "densenet201-c1103571", 77.373, _PLAIN),
    ("googlenet", "imagenet", "googlenet-1378be20", 49.731, _HALVES),
    ("inception_v3", "imagenet", "inception_v3_google-0cc3c7bd", 103.903, _INCEPTION),
    ("resnet18", "imagenet", "resnet18-f37072fd", 44.661, _PLAIN),
    ("resnet34", "imagenet", "resnet34-b627a593", 83.275, _PLAIN),
    ("resnet50", "imagenet", "resnet50-0676ba61", 97.781, _PLAIN),
    ("resnet101", "imagenet", "resnet101-63fe2227", 170.511, _PLAIN),
    ("resnet152", "imagenet", "resnet152-394f9c45", 230.434, _PLAIN),
    ("resnext50_32x4d", "imagenet", "resnext50_32x4d-7cdf4587", 95.789, _PLAIN),
    ("resnext101_32x8d", "imagenet", "resnext101_32x8d-8ba56ff5", 339.586, _PLAIN),
    ("resnext101_64x4d", "imagenet", "resnext101_64x4d-173b62eb", 319.318, _LONGER),
    ("wide_resnet50_2", "imagenet", "wide_resnet50_2-95faca4d", 131.82, _PLAIN),
    ("wide_resnet101_2", "imagenet", "wide_resnet101_2-32ee1156", 242.896, _PLAIN),
    ("mobilenet_v2", "imagenet", "mobilenet_v2-b0353104", 13.555, _PLAIN),
    ("mobilenet_v3_small", "imagenet", "mobilenet_v3_small-047dcff4", 9.829, _PLAIN),
    ("mobilenet_v3_large", "imagenet", "mobilenet_v3_large-8738ca79", 21.114, _PLAIN),
    ("shufflenet_v2_x0_5", "imagenet", "shufflenetv2_x0.5-f707e7126e", 5.282, _PLAIN),
    ("shufflenet_v2_x1_0", "imagenet", "shufflenetv2_x1-5666bf0f80", 8.791, _PLAIN),
    ("shufflenet_v2_x1_5", "imagenet", "shufflenetv2_x1_5-3c479a10", 13.557, _LONGER),
    ("shufflenet_v2_x2_0", "imagenet", "shufflenetv2_x2_0-8be3c8ee", 28.433, _LONGER),
    ("mnasnet0_5", "imagenet", "mnasnet0.5_top1_67.823-3ffadce67e", 8.591, _PLAIN),
    ("mnasnet0_75", "imagenet", "mnasnet0_75-7090bc5f", 12.303, _LONGER),
    ("mnasnet1_0", "imagenet", "mnasnet1.0_top1_73.512-f206786ef8", 16.915, _PLAIN),
    ("mnasnet1_3", "imagenet", "mnasnet1_3-a4c69d6f", 24.246, _LONGER),
    ("efficientnet_b0", "imagenet", "efficientnet_b0_rwightman-7f5810bc", 20.451, _BICUBIC),
    ("efficientnet_b1", "imagenet", "efficientnet_b1_rwightman-bac287d4", 30.134, Preprocessing(256, 240, "bicubic")),
    ("efficientnet_b2", "imagenet", "efficientnet_b2_rwightman-c35c1473", 35.174, Preprocessing(288, 288, "bicubic")),
    ("efficientnet_b3", "imagenet", "efficientnet_b3_rwightman-b3899882", 47.184, Preprocessing(320, 300, "bicubic")),
    ("efficientnet_b4", "imagenet", "efficientnet_b4_rwightman-23ab8bcd", 74.489, Preprocessing(384, 380, "bicubic")),
    ("efficientnet_b5", "imagenet", "efficientnet_b5_lukemelas-1a07897c", 116.864, Preprocessing(456, 456, "bicubic")),
    ("efficientnet_b6", "imagenet", "efficientnet_b6_lukemelas-24a108a5", 165.362, Preprocessing(528, 528, "bicubic")),
    ("efficientnet_b7", "imagenet", "efficientnet_b7_lukemelas-c5b4e57e", 254.675, Preprocessing(600, 600, "bicubic")),
    ("efficientnet_v2_s", "imagenet", "efficientnet_v2_s-dd5fe13b", 82.704, Preprocessing(384, 384)),
    ("efficientnet_v2_m", "imagenet", "efficientnet_v2_m-dc08266a", 208.01, Preprocessing(480, 480)),
    ("efficientnet_v2_l", "imagenet", "efficientnet_v2_l-59c71312", 454.573, _LARGE_HALVES),
    ("regnet_x_400mf", "imagenet", "regnet_x_400mf-adf1edd5", 21.258, _PLAIN),
    ("regnet_x_800mf", "imagenet", "regnet_x_800mf-ad17e45c", 27.945, _PLAIN),
    ("regnet_x_1_6gf", "imagenet", "regnet_x_1_6gf-e3633e7f", 35.339, _PLAIN),
    ("regnet_x_3_2gf", "imagenet", "regnet_x_3_2gf-f342aeae", 58.756, _PLAIN),
    ("regnet_x_8gf", "imagenet", "regnet_x_8gf-03ceed89", 151.456, _PLAIN),
    ("regnet_x_16gf", "imagenet", "regnet_x_16gf-2007eb11", 207.627, _PLAIN),
    ("regnet_x_32gf", "imagenet", "regnet_x_32gf-9d47f8d0", 412.039, _PLAIN),
    ("regnet_y_400mf", "imagenet", "regnet_y_400mf-c65dace8", 16.806, _PLAIN),
    ("regnet_y_800mf", "imagenet", "regnet_y_800mf-1b27b58c", 24.774, _PLAIN),
    ("regnet_y_1_6gf", "imagenet", "regnet_y_1_6gf-b11a554e", 43.152, _PLAIN),
    ("regnet_y_3_2gf", "imagenet", "regnet_y_3_2gf-b5a9779c", 74.567, _PLAIN),
    ("regnet_y_8gf", "imagenet", "regnet_y_8gf-d0d0e4a8", 150.701, _PLAIN),
    ("regnet_y_16gf", "imagenet", "regnet_y_16gf-9e6ed7dd", 319.49, _PLAIN),
    ("regnet_y_32gf", "imagenet", "regnet_y_32gf-4dee3f7a", 554.076, _PLAIN),
    ("convnext_tiny", "imagenet", "convnext_tiny-983f1562", 109.119, _CONVNEXT),
    ("convnext_small", "imagenet", "convnext_small-0c510722", 191.703, Preprocessing(230)),
    ("convnext_base", "imagenet", "convnext_base-6075fbad", 338.064, _LONGER),
    ("convnext_large", "imagenet", "convnext_large-ea097f82", 754.537, _LONGER),
    ("resnet50", "imagenet_v2", "resnet50-11ad3fa6", 97.79, _LONGER),
    ("resnet101", "imagenet_v2", "resnet101-cd907fc2", 170.53, _LONGER),
    ("resnet152", "imagenet_v2", "resnet152-f82ba261", 230.474, _LONGER),
    ("resnext50_32x4d", "imagenet_v2", "resnext50_32x4d-1a0047aa", 95.833, _LONGER),
    ("resnext101_32x8d", "imagenet_v2", "resnext101_32x8d-110c445d", 339.673, _LONGER),
    ("wide_resnet50_2", "imagenet_v2", "wide_resnet50_2-9ba9bcbe", 263.124, _LONGER),
    ("wide_resnet101_2", "imagenet_v2", "wide_resnet101_2-d733dc28", 484.747, _LONGER),
    ("mobilenet_v2", "imagenet_v2", "mobilenet_v2-7ebf99e0", 13.598, _LONGER),
    ("mobilenet_v3_large", "imagenet_v2", "mobilenet_v3_large-5c1a4163", 21.107, _LONGER),
    ("efficientnet_b1", "imagenet_v2", "efficientnet_b1-c27df63c", 30.136, Preprocessing(255, 240)),
    ("regnet_x_400mf", "imagenet_v2", "regnet_x_400mf-62229a5f", 21.257, _LONGER),
    ("regnet_x_800mf", "imagenet_v2", "regnet_x_800mf-94a99ebd", 27.945, _LONGER),
    ("regnet_x_1_6gf", "imagenet_v2", "regnet_x_1_6gf-a12f2b72", 35.339, _LONGER),
    ("regnet_x_3_2gf", "imagenet_v2", "regnet_x_3_2gf-7071aa85", 58.756, _LONGER),
    ("regnet_x_8gf", "imagenet_v2", "regnet_x_8gf-2b70d774", 151.456, _LONGER),
    ("regnet_x_16gf", "imagenet_v2", "regnet_x_16gf-ba3796d7", 207.627, _LONGER),
    ("regnet_x_32gf", "imagenet_v2", "regnet_x_32gf-6eb8fdc6", 412.039, _LONGER),
    ("regnet_y_400mf", "imagenet_v2", "regnet_y_400mf-e6988f5f", 16.806, _LONGER),
    ("regnet_y_800mf", "imagenet_v2", "regnet_y_800mf-58fc7688", 24.774, _LONGER),
    ("regnet_y_1_6gf", "imagenet_v2", "regnet_y_1_6gf-0d7bc02a", 43.152, _LONGER),
    ("regnet_y_3_2gf", "imagenet_v2", "regnet_y_3_2gf-9180c971", 74.567, _LONGER),
    ("regnet_y_8gf", "imagenet_v2", "regnet_y_8gf-dc2b1b54", 150.701, _LONGER),
    ("regnet_y_16gf", "imagenet_v2", "regnet_y_16gf-3e4a00f9", 319.49, _LONGER),
    ("regnet_y_32gf", "imagenet_v2", "regnet_y_32gf-8db6d4b5", 554.076, _LONGER),
)

# Network, file, MD5, MiB, size of an image; all with pixels from -1 to 1.
_TF = "_weights_tf_dim_ordering_tf_kernels.h5"
_OF_KERAS = (
    ("resnet50v2", f"resnet/resnet50v2{_TF}", "3ef43a0b657b3be2300d5770ece849e0", 98, 224),
    ("resnet101v2", f"resnet/resnet101v2{_TF}", "6343647c601c52e1368623803854d971", 171, 224),
    ("resnet152v2", f"resnet/resnet152v2{_TF}", "a49b44d1979771252814e80f8ec446f9", 232, 224),
    ("xception", f"xception/xception{_TF}", "0a58e3b7378bc2990ea3b43d5981f1f6", 88, 299),
    (
        "inception_resnet_v2", f"inception_resnet_v2/inception_resnet_v2{_TF}", "e693bd0210a403b3192acc6073ad2e96",
        215, 299,
    ),
    ("nasnet_mobile", "nasnet/NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61", 23, 224),
    ("nasnet_large", "nasnet/NASNet-large.h5", "11577c9a518f0070763c2b964a382f17", 343, 331),
)  # fmt: skip

PUBLISHED: dict[tuple[str, str], Published] = {
    (network, weights): Published(f"{TORCHVISION}{file}.pth", f"sha256:{file.rpartition('-')[2]}", preprocessing, size)
    for network, weights, file, size, preprocessing in _OF_TORCHVISION
} | {
    (network, "imagenet"): Published(f"{KERAS}{file}", f"md5:{digest}", keras_preprocessing("tf", pixels), size)
    for network, file, digest, size, pixels in _OF_KERAS
}
"""{(network, weights): its file}."""
