"""What this page does not show."""

from __future__ import annotations

import numpy as np

from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Block, Section, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.verdict import accuracy

FEW = 30  # test images of a class, of which shares are coarse


def limits(run: Examined) -> Section:
    """Sentences on what was not tested, as far as it can be said of any run, and of this one."""
    return Section("Limits", "What was not tested, and what these figures do not say.", tuple(_sentences(run)))


def _sentences(run: Examined) -> list[Block]:
    share, count = accuracy(run), len(run.dataset.test.labels)
    told = [
        "This is one run with one seed: how much the figures change from seed to seed is not known.",
        f"The interval of {share.low:.1%} to {share.high:.1%} is due to the number of test images alone. Images of "
        "other places, cameras or times were not tested.",
        "The attack is one of many: that an image withstands it does not mean that none turns it.",
        "Maps of where the network looks are no reasons; the tables under them say where to doubt them.",
    ]
    counts = np.bincount(run.dataset.test.labels, minlength=len(run.subject.classes))
    if few := [run.subject.name(label) for label, n in enumerate(counts) if n < FEW]:
        names = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
        told.append(f"Of {counted(len(few), 'class', 'classes')} there are fewer than {FEW} test images: {names}.")
    if len(run.labels) < count:
        told.append(f"Only {len(run.labels):,} of {count:,} test images were looked at, but for the accuracy itself.")
    if len(run.train.labels) < len(run.dataset.train.labels):
        some = f"{len(run.train.labels):,} of {len(run.dataset.train.labels):,}"
        told.append(f"Neighbors and strongest images were looked for among {some} training images.")
    if run.dataset.validation is None and not run.record.config.data.folds:
        told.append(
            "There were no validation images: if settings were chosen by these test images, it does worse on others."
        )
    return [Text(sentence) for sentence in told]
