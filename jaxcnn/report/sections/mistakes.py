"""The worst mistakes, the images of which the network is least sure, and labels that may be wrong."""

from __future__ import annotations

import numpy as np

from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Block, Gallery, Heading, Section, Shown, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture

COUNT, WIDTH = 10, 84


def mistakes(run: Examined) -> Section:
    """What is most confidently wrong, least confidently right, and where all neighbors contradict the label."""
    wrong, right = np.flatnonzero(~run.right), np.flatnonzero(run.right)
    worst = wrong[np.argsort(-run.confidence[wrong], kind="stable")][:COUNT]
    shy = right[np.argsort(run.confidence[right], kind="stable")][:COUNT]
    lead = f"{counted(len(wrong), 'test image')} of {len(run.labels):,} {'is' if len(wrong) == 1 else 'are'} wrong."
    if len(worst):
        sure = int((run.confidence[wrong] > 0.9).sum())
        lead += f" The network is more than 90% sure of {sure:,} of these."
    blocks: list[Block] = [Heading("The most confident mistakes")]
    blocks.append(_gallery(run, worst, "wrong") if len(worst) else Text("There is no mistake."))
    blocks += [Heading("Right, but least sure"), _gallery(run, shy, "right") if len(shy) else Text("Nothing is right.")]
    return Section("Mistakes", lead, (*blocks, *_doubtful(run)))


def _gallery(run: Examined, places: np.ndarray, tone: str) -> Gallery:
    return Gallery(tuple(_shown(run, int(place), tone) for place in places), WIDTH)


def _shown(run: Examined, place: int, tone: str) -> Shown:
    said, label = int(run.said[place]), int(run.labels[place])
    second = int(np.argsort(-run.shares[place], kind="stable")[1]) if run.shares.shape[1] > 1 else said
    other = label if said != label else second
    is_ = f"is {run.subject.name(label)}: {run.shares[place, label]:.1%}"
    lines = (f"{run.subject.name(said)} {run.confidence[place]:.1%}",)
    lines += (is_,) if said != label else (f"{run.subject.name(other)} {run.shares[place, other]:.1%}",)
    return Shown(picture(run.test.images[place], run.of_test(place)), lines, tone)


def _doubtful(run: Examined) -> list[Block]:
    if run.around is None:
        return []
    near = run.train.labels[run.around.indices]
    found = np.flatnonzero((near == run.said[:, None]).all(1) & ~run.right)
    found = found[np.argsort(-run.confidence[found], kind="stable")]
    title = Heading("Labels to look at")
    many = near.shape[1]
    if not len(found):
        return [title, Text(f"Of no mistake all {many} nearest training images are of the class it was taken for.")]
    told = (
        f"Of {counted(len(found), 'mistake')} all {many} nearest training images in the last hidden layer are of the "
        "class that the image was taken for: the network is wrong in a way that it has learned, or the label is."
    )
    return [title, Text(told), _gallery(run, found[:COUNT], "wrong")]
