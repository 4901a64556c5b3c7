"""ShuffleNet (Zhang, Zhou, Lin and Sun 2018) as in its paper, and ShuffleNetV2 (Ma et al. 2018) as in torchvision."""

from __future__ import annotations

from jaxcnn.spec import (
    Act,
    BatchNorm,
    Channels,
    Conv,
    Dense,
    GlobalPool,
    Graph,
    Identity,
    Pool,
    Shuffle,
    Spec,
    add,
    concat,
    seq,
)

_REPEATS = (4, 8, 4)
# table 1: the channels of stage 2, by groups; they double from stage to stage
_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}


def _stem() -> dict[str, Spec]:
    return {"conv1": seq(Conv(24, 3, 2), BatchNorm(), Act()), "maxpool": Pool("max", 3, 2, "half")}


def shufflenet_v1(classes: int = 1000, groups: int = 3) -> Graph:
    """Grouped 1x1 convolutions with their channels shuffled: 1,865,728 parameters for three groups.

    `groups` is 1, 2, 3, 4 or 8; the channels of table 1 keep the cost about the same.
    """
    if groups not in _CHANNELS:
        raise ValueError(f"groups must be one of {', '.join(map(str, _CHANNELS))}, not {groups!r}")

    def unit(before: int, after: int, stride: int, first: int = groups) -> Graph:
        """With a stride, the unit's own channels stand beside the `before` ones of its input, averaged."""
        inner = after // 4
        body = seq(
            conv1=Conv(inner, 1, groups=first), bn1=BatchNorm(), relu=Act(), shuffle=Shuffle(groups),
            conv2=Conv(None, 3, stride, groups=None), bn2=BatchNorm(),
            conv3=Conv(after - before if stride > 1 else after, 1, groups=groups), bn3=BatchNorm(),
        )  # fmt: skip
        if stride == 1:
            return add(Identity(), body, then=Act())
        return concat(shortcut=Pool("avg", 3, 2, "half"), _body=body, then=Act())

    stages: dict[str, Spec] = {}
    before = 24
    for number, repeats in enumerate(_REPEATS):
        after = _CHANNELS[groups] << number
        # the 24 channels of the stem are too few to be grouped
        opening = unit(before, after, 2, groups if number else 1)
        stages[f"stage{number + 2}"] = seq(opening, *[unit(after, after, 1)] * (repeats - 1))
        before = after
    return seq(**_stem(), **stages, avgpool=GlobalPool(), fc=Dense(classes))


def _unit_v2(after: int, stride: int) -> Graph:
    half = after // 2
    body = seq(
        Conv(half, 1), BatchNorm(), Act(),
        Conv(None, 3, stride, groups=None), BatchNorm(),
        Conv(half, 1), BatchNorm(), Act(),
    )  # fmt: skip
    if stride == 1:
        return concat(kept=Channels(0, half), _changed=seq(half=Channels(half), branch2=body), then=Shuffle(2))
    shortcut = seq(Conv(None, 3, stride, groups=None), BatchNorm(), Conv(half, 1), BatchNorm(), Act())
    return concat(branch1=shortcut, branch2=body, then=Shuffle(2))


def _shufflenet_v2(width: int, classes: int, last: int = 1024) -> Graph:
    stages: dict[str, Spec] = {}
    for number, repeats in enumerate(_REPEATS):
        after = width << number
        stages[f"stage{number + 2}"] = seq(_unit_v2(after, 2), *[_unit_v2(after, 1)] * (repeats - 1))
    head = seq(Conv(last, 1), BatchNorm(), Act())
    return seq(**_stem(), **stages, conv5=head, avgpool=GlobalPool(), fc=Dense(classes))


def shufflenet_v2_x0_5(classes: int = 1000) -> Graph:
    """Units that shuffle one half of their channels past the other; 48 channels in stage 2: 1,366,792 parameters."""
    return _shufflenet_v2(48, classes)


def shufflenet_v2_x1_0(classes: int = 1000) -> Graph:
    """Units that shuffle one half of their channels past the other; 116 channels in stage 2: 2,278,604 parameters."""
    return _shufflenet_v2(116, classes)


def shufflenet_v2_x1_5(classes: int = 1000) -> Graph:
    """Units that shuffle one half of their channels past the other; 176 channels in stage 2: 3,503,624 parameters."""
    return _shufflenet_v2(176, classes)


def shufflenet_v2_x2_0(classes: int = 1000) -> Graph:
    """Units that shuffle one half of their channels past the other; 244 channels in stage 2: 7,393,996 parameters."""
    return _shufflenet_v2(244, classes, 2048)
