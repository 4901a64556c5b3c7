"""Every network has the parameters, operations, layers and stages that are published of it.

The figures were read off torchvision 0.28 and Keras 3.15 themselves, or stand in the papers and lectures; they come
from no spec of this library.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest

import jaxcnn
from jaxcnn.layout import Row
from jaxcnn.spec import BatchNorm, Conv, Dense, Dropout, StochasticDepth
from jaxcnn.zoo import NETWORKS


class Figures(NamedTuple):
    """Trainable parameters, moving statistics, multiply-accumulates; how many layers of which kind."""

    trainable: int
    moving: int
    macs: int
    convs: int | None = None
    depthwise: int | None = None
    dense: int | None = None
    norms: int | None = None
    size: int = 224


TORCHVISION = {
    "alexnet": Figures(61_100_840, 0, 714_188_480, 5, 0, 3, 0),
    "vgg11": Figures(132_863_336, 0, 7_609_090_048, 8, 0, 3, 0),
    "vgg13": Figures(133_047_848, 0, 11_308_466_176, 10, 0, 3, 0),
    "vgg16": Figures(138_357_544, 0, 15_470_264_320, 13, 0, 3, 0),
    "vgg19": Figures(143_667_240, 0, 19_632_062_464, 16, 0, 3, 0),
    "vgg11_bn": Figures(132_868_840, 5_504, 7_609_090_048, 8, 0, 3, 8),
    "vgg13_bn": Figures(133_053_736, 5_888, 11_308_466_176, 10, 0, 3, 10),
    "vgg16_bn": Figures(138_365_992, 8_448, 15_470_264_320, 13, 0, 3, 13),
    "vgg19_bn": Figures(143_678_248, 11_008, 19_632_062_464, 16, 0, 3, 16),
    "squeezenet1_0": Figures(1_248_424, 0, 818_924_576, 26, 0, 0, 0),
    "squeezenet1_1": Figures(1_235_496, 0, 349_151_936, 26, 0, 0, 0),
    "densenet121": Figures(7_978_856, 83_648, 2_834_161_664, 120, 0, 1, 121),
    "densenet161": Figures(28_681_000, 219_936, 7_727_907_072, 160, 0, 1, 161),
    "densenet169": Figures(14_149_480, 158_400, 3_359_843_328, 168, 0, 1, 169),
    "densenet201": Figures(20_013_928, 229_056, 4_291_365_888, 200, 0, 1, 201),
    "googlenet": Figures(6_624_904, 14_560, 1_498_376_192, 57, 0, 1, 57),
    "inception_v3": Figures(23_834_568, 34_432, 5_713_216_096, 94, 0, 1, 94, 299),
    "resnet18": Figures(11_689_512, 9_600, 1_814_073_344, 20, 0, 1, 20),
    "resnet34": Figures(21_797_672, 17_024, 3_663_761_408, 36, 0, 1, 36),
    "resnet50": Figures(25_557_032, 53_120, 4_089_184_256, 53, 0, 1, 53),
    "resnet101": Figures(44_549_160, 105_344, 7_801_405_440, 104, 0, 1, 104),
    "resnet152": Figures(60_192_808, 151_424, 11_513_626_624, 155, 0, 1, 155),
    "resnext50_32x4d": Figures(25_028_904, 68_224, 4_230_479_872, 53, 0, 1, 53),
    "resnext101_32x8d": Figures(88_791_336, 202_880, 16_414_015_488, 104, 0, 1, 104),
    "resnext101_64x4d": Figures(83_455_272, 202_880, 15_460_270_080, 104, 0, 1, 104),
    "wide_resnet50_2": Figures(68_883_240, 68_224, 11_398_021_120, 53, 0, 1, 53),
    "wide_resnet101_2": Figures(126_886_696, 137_856, 22_753_050_624, 104, 0, 1, 104),
    "mobilenet_v2": Figures(3_504_872, 34_112, 300_774_272, 52, 17, 1, 52),
    "mobilenet_v3_small": Figures(2_542_856, 12_112, 56_510_400, 52, 11, 2, 34),
    "mobilenet_v3_large": Figures(5_483_032, 24_400, 216_589_760, 62, 15, 2, 46),
    "shufflenet_v2_x0_5": Figures(1_366_792, 7_952, 40_476_448, 56, 19, 1, 56),
    "shufflenet_v2_x1_0": Figures(2_278_604, 16_180, 144_907_992, 56, 19, 1, 56),
    "shufflenet_v2_x1_5": Figures(3_503_624, 23_440, 295_759_392, 56, 19, 1, 56),
    "shufflenet_v2_x2_0": Figures(7_393_996, 33_716, 583_253_464, 56, 19, 1, 56),
    "mnasnet0_5": Figures(2_218_512, 20_624, 104_455_968, 52, 17, 1, 52),
    "mnasnet0_75": Figures(3_170_208, 29_808, 215_493_104, 52, 17, 1, 52),
    "mnasnet1_0": Figures(4_383_312, 37_920, 314_415_872, 52, 17, 1, 52),
    "mnasnet1_3": Figures(6_282_256, 48_816, 526_362_432, 52, 17, 1, 52),
    "efficientnet_b0": Figures(5_288_548, 42_016, 385_814_752, 81, 16, 1, 49),
    "efficientnet_b1": Figures(7_794_184, 62_048, 686_802_832, 115, 23, 1, 69, 240),
    "efficientnet_b2": Figures(9_109_994, 67_568, 1_087_529_456, 115, 23, 1, 69, 288),
    "efficientnet_b3": Figures(12_233_232, 87_296, 1_827_141_392, 130, 26, 1, 78, 300),
    "efficientnet_b4": Figures(19_341_616, 125_200, 4_393_771_024, 160, 32, 1, 96, 380),
    "efficientnet_b5": Figures(30_389_784, 172_736, 10_266_384_752, 194, 39, 1, 116, 456),
    "efficientnet_b6": Figures(43_040_704, 224_432, 19_067_593_536, 224, 45, 1, 134, 528),
    "efficientnet_b7": Figures(66_347_960, 310_720, 37_745_884_192, 273, 55, 1, 163, 600),
    "efficientnet_v2_s": Figures(21_458_488, 153_872, 8_365_617_152, 170, 30, 1, 110, 384),
    "efficientnet_v2_m": Figures(54_139_356, 292_032, 24_582_460_384, 245, 44, 1, 157, 480),
    "efficientnet_v2_l": Figures(118_515_272, 512_576, 56_079_699_008, 339, 61, 1, 217, 480),
    "regnet_x_400mf": Figures(5_495_976, 37_856, 413_812_608, 71, 0, 1, 71),
    "regnet_x_800mf": Figures(7_259_656, 37_312, 799_699_712, 53, 0, 1, 53),
    "regnet_x_1_6gf": Figures(9_190_136, 43_504, 1_602_849_792, 59, 0, 1, 59),
    "regnet_x_3_2gf": Figures(15_296_552, 62_560, 3_176_621_952, 80, 0, 1, 80),
    "regnet_x_8gf": Figures(39_572_648, 90_464, 7_995_132_416, 74, 0, 1, 74),
    "regnet_x_16gf": Figures(54_278_536, 111_168, 15_940_755_456, 71, 0, 1, 71),
    "regnet_x_32gf": Figures(107_811_560, 162_016, 31_735_929_792, 74, 0, 1, 74),
    "regnet_y_400mf": Figures(4_344_144, 27_152, 401_842_848, 85, 0, 1, 53),
    "regnet_y_800mf": Figures(6_432_512, 30_432, 833_856_256, 75, 0, 1, 47),
    "regnet_y_1_6gf": Figures(11_202_430, 52_672, 1_612_076_160, 140, 0, 1, 86),
    "regnet_y_3_2gf": Figures(19_436_338, 66_160, 3_176_482_752, 110, 0, 1, 68),
    "regnet_y_8gf": Figures(39_381_472, 86_528, 8_473_070_592, 90, 0, 1, 56),
    "regnet_y_16gf": Figures(83_590_140, 122_816, 15_911_510_272, 95, 0, 1, 59),
    "regnet_y_32gf": Figures(145_046_770, 158_288, 32_279_552_832, 105, 0, 1, 65),
    # all but one of torchvision's dense layers act on every place: convolutions of 1x1 here
    "convnext_tiny": Figures(28_589_128, 0, 4_455_531_264, 22 + 36, 18, 1, 0),
    "convnext_small": Figures(50_223_688, 0, 8_683_712_256, 40 + 72, 36, 1, 0),
    "convnext_base": Figures(88_591_464, 0, 15_354_729_472, 40 + 72, 36, 1, 0),
    "convnext_large": Figures(197_767_336, 0, 34_361_433_600, 40 + 72, 36, 1, 0),
}

# Keras counts a separable convolution as one; here it is a depthwise one and a pointwise one.
KERAS = {
    ("xception", ()): Figures(22_855_952, 54_528, 8_357_403_496, 40 + 34, 34, 1, 40, 299),
    ("resnet50", ("variant",)): Figures(25_583_592, 53_120, 3_857_973_248, 53, 0, 1, 53),
    ("resnet101", ("variant",)): Figures(44_601_832, 105_344, 7_570_194_432, 104, 0, 1, 104),
    ("resnet152", ("variant",)): Figures(60_268_520, 151_424, 11_282_415_616, 155, 0, 1, 155),
    ("resnet50v2", ()): Figures(25_568_360, 45_440, 3_482_255_360, 53, 0, 1, 49),
    ("resnet101v2", ()): Figures(44_577_896, 97_664, 7_194_476_544, 104, 0, 1, 100),
    ("resnet152v2", ()): Figures(60_236_904, 143_744, 10_906_697_728, 155, 0, 1, 151),
    ("inception_v3", ("variant",)): Figures(23_817_352, 34_432, 5_713_216_096, 94, 0, 1, 94, 299),
    ("inception_resnet_v2", ()): Figures(55_813_192, 60_544, 13_155_794_016, 244, 0, 1, 204, 299),
    ("mobilenet", ()): Figures(4_231_976, 21_888, 568_740_352, 28, 13, 0, 27),
    ("mobilenet_v2", ("variant",)): Figures(3_504_872, 34_112, 300_774_272, 52, 17, 1, 52),
    ("densenet121", ("variant",)): Figures(7_978_856, 83_648, 2_834_161_664, 120, 0, 1, 121),
    ("densenet169", ("variant",)): Figures(14_149_480, 158_400, 3_359_843_328, 168, 0, 1, 169),
    ("densenet201", ("variant",)): Figures(20_013_928, 229_056, 4_291_365_888, 200, 0, 1, 201),
    ("nasnet_mobile", ()): Figures(5_289_978, 36_738, 563_638_816, 196 + 160, 160, 1, 192),
    ("nasnet_large", ()): Figures(88_753_150, 196_668, 23_783_414_658, 268 + 220, 220, 1, 264, 331),
    ("vgg16", ("variant",)): Figures(138_357_544, 0, 15_470_264_320, 13, 0, 3, 0),
    ("vgg19", ("variant",)): Figures(143_667_240, 0, 19_632_062_464, 16, 0, 3, 0),
}

CASES = {name: (name, {}, figures) for name, figures in TORCHVISION.items()} | {
    f"{name}, as in Keras" if options else name: (name, dict.fromkeys(options, "keras"), figures)
    for (name, options), figures in KERAS.items()
}


def counted(rows: list[Row]) -> tuple[int, int]:
    """Trainable parameters and moving statistics."""
    trees = [[p for row in rows for p in getattr(row.layout, part).values()] for part in ("params", "stats")]
    trainable, moving = (sum(math.prod(parameter.shape) for parameter in tree) for tree in trees)
    return trainable, moving


def of_kind(rows: list[Row], kind: type) -> list[Row]:
    return [row for row in rows if isinstance(row.leaf, kind)]


@pytest.mark.parametrize("case", CASES)
def test_parameters_operations_and_layers_are_the_peers(case: str):
    name, options, figures = CASES[case]
    net, shape = jaxcnn.create(name, **options), NETWORKS[name].input
    assert shape == (figures.size, figures.size, 3)
    rows = jaxcnn.walk(net, shape)
    assert counted(rows) == (figures.trainable, figures.moving)
    assert jaxcnn.macs(net, shape) == figures.macs
    convs = of_kind(rows, Conv)
    depthwise = [row for row in convs if row.layout.params["kernel"].shape[-2] == 1 and row.input[-1] > 1]
    layers = len(convs), len(depthwise), len(of_kind(rows, Dense)), len(of_kind(rows, BatchNorm))
    assert layers == (figures.convs, figures.depthwise, figures.dense, figures.norms)


# torchvision's probabilities of dropout and of leaving out the last block, and its norms' momentum (of the old value)
# and eps. Of these, the logits of evaluation show the eps only.
B0_TO_4, B5_TO_7, VERSION_2 = (0.9, 1e-5), (0.99, 1e-3), (0.9, 1e-3)
SETTINGS = {
    "efficientnet_b0": (0.2, 0.2 * 14 / 16, B0_TO_4),  # its last block but one: the last one changes its channels
    "efficientnet_b1": (0.2, 0.2 * 22 / 23, B0_TO_4),
    "efficientnet_b2": (0.3, 0.2 * 22 / 23, B0_TO_4),
    "efficientnet_b3": (0.3, 0.2 * 25 / 26, B0_TO_4),
    "efficientnet_b4": (0.4, 0.2 * 31 / 32, B0_TO_4),
    "efficientnet_b5": (0.4, 0.2 * 38 / 39, B5_TO_7),
    "efficientnet_b6": (0.5, 0.2 * 44 / 45, B5_TO_7),
    "efficientnet_b7": (0.5, 0.2 * 54 / 55, B5_TO_7),
    "efficientnet_v2_s": (0.2, 0.2 * 39 / 40, VERSION_2),
    "efficientnet_v2_m": (0.3, 0.2 * 56 / 57, VERSION_2),
    "efficientnet_v2_l": (0.4, 0.2 * 78 / 79, VERSION_2),
    "convnext_tiny": (None, 0.1, None),
    "convnext_small": (None, 0.4, None),
    "convnext_base": (None, 0.5, None),
    "convnext_large": (None, 0.5, None),
    "mnasnet0_75": (0.2, None, (0.9997, 1e-5)),
    "mnasnet1_3": (0.2, None, (0.9997, 1e-5)),
    "regnet_y_400mf": (None, None, (0.9, 1e-5)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_dropout_stochastic_depth_and_norms_are_torchvisions(name: str):
    rate, drop, norm = SETTINGS[name]
    leaves = [row.leaf for row in jaxcnn.walk(jaxcnn.create(name), NETWORKS[name].input)]
    drops = [leaf.rate for leaf in leaves if isinstance(leaf, StochasticDepth)]
    assert drops == sorted(drops) and drops[-1:] == ([] if drop is None else [pytest.approx(drop)])
    assert [leaf.rate for leaf in leaves if isinstance(leaf, Dropout)] == ([] if rate is None else [rate])
    assert {(leaf.momentum, leaf.eps) for leaf in leaves if isinstance(leaf, BatchNorm)} == ({norm} if norm else set())


# As in Keras, with the moving statistics: the table of lecture EE 541 unit 8 prints these totals.
TOTALS = {
    "xception": 22_910_480, "vgg16": 138_357_544, "vgg19": 143_667_240, "resnet50": 25_636_712,
    "resnet101": 44_707_176, "resnet152": 60_419_944, "resnet50v2": 25_613_800, "resnet101v2": 44_675_560,
    "resnet152v2": 60_380_648, "inception_v3": 23_851_784, "inception_resnet_v2": 55_873_736, "mobilenet": 4_253_864,
    "mobilenet_v2": 3_538_984, "densenet121": 8_062_504, "densenet169": 14_307_880, "densenet201": 20_242_984,
    "nasnet_mobile": 5_326_716, "nasnet_large": 88_949_818,
}  # fmt: skip


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_those_of_the_lectures_table(name: str):
    options = {"variant": "keras"} if (name, ("variant",)) in KERAS else {}
    assert sum(counted(jaxcnn.walk(jaxcnn.create(name, **options), NETWORKS[name].input))) == TOTALS[name]


@pytest.mark.parametrize(
    ("name", "trainable", "moving", "macs"),
    [("googlenet", 13_004_888, 15_072, 1_506_748_416), ("inception_v3", 27_161_264, 36_224, 5_718_899_296)],
)
def test_auxiliary_heads_add_what_torchvisions_add(name: str, trainable: int, moving: int, macs: int):
    net, shape = jaxcnn.create(name, aux=True), NETWORKS[name].input
    assert (*counted(jaxcnn.walk(net, shape)), jaxcnn.macs(net, shape)) == (trainable, moving, macs)


@pytest.mark.parametrize(
    ("name", "options", "trainable", "other", "macs"),
    [
        ("lenet1989", {}, 9_760, 0, None),
        ("lenet5_1998", {}, 60_000, 840, 325_680),
        ("cats_dogs", {}, 23_214_017, 0, 5_242_594_176),
        ("alphago_policy", {"width": 128}, 1_777_641, 0, 641_043_584),
        ("alphago_policy", {}, 3_882_793, 0, 1_400_726_208),
        ("alphago_policy", {"width": 256}, 6_798_953, 0, 2_453_182_720),
        ("alphago_policy", {"width": 384}, 15_064_297, 0, 5_436_417_408),
        ("resnet20", {}, 269_722, None, None),  # 0.27 million in He et al.'s table 6
        ("resnet32", {}, 464_154, None, None),  # 0.46
        ("resnet44", {}, 658_586, None, None),  # 0.66
        ("resnet56", {}, 853_018, None, None),  # 0.85
        ("resnet110", {}, 1_727_962, None, None),  # 1.7
    ],
)
def test_the_lectures_own_networks_have_their_published_figures(name, options, trainable, other, macs):
    net, shape = jaxcnn.create(name, **options), NETWORKS[name].input
    found = (*counted(jaxcnn.walk(net, shape)), jaxcnn.macs(net, shape))
    for value, published in zip(found, (trainable, other, macs), strict=True):
        assert published in (value, None)


# channels @ height of the values between which a network is divided into stages
STAGES = {
    "alexnet": "64@55 64@27 192@13 384@13 256@13 256@6",
    "vgg11": "64@112 128@56 256@28 512@14 512@7",
    "vgg19_bn": "64@112 128@56 256@28 512@14 512@7",
    "squeezenet1_0": "96@109 96@54 256@27 512@13 1000@13",
    "squeezenet1_1": "64@111 64@55 128@27 256@13 512@13 1000@13",
    "densenet121": "64@112 64@56 256@56 128@28 512@28 256@14 1024@14 512@7 1024@7",
    "densenet161": "96@112 96@56 384@56 192@28 768@28 384@14 2112@14 1056@7 2208@7",
    "densenet169": "64@112 64@56 256@56 128@28 512@28 256@14 1280@14 640@7 1664@7",
    "densenet201": "64@112 64@56 256@56 128@28 512@28 256@14 1792@14 896@7 1920@7",
    "googlenet": "64@112 64@56 192@56 192@28 256@28 480@28 480@14 512@14 528@14 832@14 832@7 1024@7",
    "inception_v3": "32@149 32@147 64@147 64@73 80@73 192@71 192@35 256@35 288@35 768@17 1280@8 2048@8",
    "resnet18": "64@112 64@56 128@28 256@14 512@7",
    "resnet50": "64@112 64@56 256@56 512@28 1024@14 2048@7",
    "mobilenet_v2": "32@112 16@112 24@56 32@28 64@14 96@14 160@7 320@7 1280@7",
    "mobilenet_v3_small": "16@112 16@56 24@28 40@14 48@14 96@7 576@7",
    "mobilenet_v3_large": "16@112 24@56 40@28 80@14 112@14 160@7 960@7",
    "shufflenet_v2_x0_5": "24@112 24@56 48@28 96@14 192@7 1024@7",
    "shufflenet_v2_x1_0": "24@112 24@56 116@28 232@14 464@7 1024@7",
    "mnasnet0_5": "16@112 8@112 16@56 24@28 40@14 48@14 96@7 160@7 1280@7",
    "mnasnet1_0": "32@112 16@112 24@56 40@28 80@14 96@14 192@7 320@7 1280@7",
    "efficientnet_b0": "32@112 16@112 24@56 40@28 80@14 112@14 192@7 320@7 1280@7",
    "efficientnet_b4": "48@190 24@190 32@95 56@48 112@24 160@24 272@12 448@12 1792@12",
    "efficientnet_b7": "64@300 32@300 48@150 80@75 160@38 224@38 384@19 640@19 2560@19",
    "efficientnet_v2_s": "24@192 48@96 64@48 128@24 160@24 256@12 1280@12",
    "regnet_x_8gf": "32@112 80@56 240@28 720@14 1920@7",
    "regnet_x_16gf": "32@112 256@56 512@28 896@14 2048@7",
    "regnet_y_400mf": "32@112 48@56 104@28 208@14 440@7",
    "regnet_y_32gf": "32@112 232@56 696@28 1392@14 3712@7",
    "convnext_large": "192@56 384@28 768@14 1536@7",
    "convnext_tiny": "96@56 192@28 384@14 768@7",
    "xception": "32@149 64@147 128@74 256@37 728@19 1024@10 1536@10 2048@10",
    "resnet50v2": "64@112 64@56 256@28 512@14 1024@7 2048@7",
    "inception_resnet_v2": "64@73 192@35 320@35 1088@17 2080@8 1536@8",
    "mobilenet": "32@112 64@112 128@56 256@28 512@14 1024@7",
    "nasnet_mobile": "32@111 44@56 88@28 264@28 352@14 528@14 704@7 1056@7",
    "nasnet_large": "96@165 168@83 336@42 1008@42 1344@21 2016@21 2688@11 4032@11",
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_have_the_peers_shapes_in_their_order(name: str):
    """The published shapes are met one after the other in the order of execution."""
    shapes = iter(values(jaxcnn.create(name), NETWORKS[name].input))
    for stage in STAGES[name].split():
        channels, _, height = stage.partition("@")
        wanted = int(height), int(height), int(channels)
        assert any(shape == wanted for shape in shapes), f"{stage} does not follow"


def values(net, shape) -> list[tuple[int, ...]]:
    """The shape of every value of a network, merged ones included, in order of execution."""
    from jaxcnn.layout import leaf_layout, merge_shapes
    from jaxcnn.spec import Graph

    found: list[tuple[int, ...]] = []

    def visit(spec, given):
        if not isinstance(spec, Graph):
            found.append(leaf_layout(spec, given).output)
            return found[-1]
        known = {"in": given}
        for node in spec.nodes:
            merged = merge_shapes(node.merge, [known[source] for source in node.inputs])
            found.append(merged)
            known[node.name] = visit(node.spec, merged)
        return known[spec.nodes[-1].name]

    visit(net, shape)
    return found
