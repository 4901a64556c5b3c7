"""What the network and its training cost."""

from __future__ import annotations

from jaxcnn.host.text import bytes_text
from jaxcnn.readings.cost import layers, totals
from jaxcnn.report.blocks import Facts, Section, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.verdict import duration, magnitude


def cost(run: Examined) -> Section:
    """Operations, memory and time, as the spec and the run say."""
    result = run.result
    total = totals(layers(run.subject.net, run.subject.shape))
    epochs = len(run.finished.rows) or result["epochs"]
    seen = epochs * len(run.dataset.train.labels)
    trained = 3 * total["macs"] * seen  # a backward pass is two
    lead = (
        f"An image takes {magnitude(total['macs'])} multiply-accumulates; training has taken about "
        f"{magnitude(trained)}, in {duration(result['seconds'])}."
    )
    facts = Facts((
        ("multiply-accumulates an image", f"{total['macs']:,}"),
        ("parameters and statistics", bytes_text(4 * (total["parameters"] + total["statistics"])) + " in float32"),
        ("activations an image", f"{bytes_text(total['memory'])} in float32, if all are kept for the gradient"),
        ("images seen in training", f"{seen:,}: {epochs:,} times {len(run.dataset.train.labels):,}"),
        ("images trained per second", f"{result['images_per_second']:,.1f}"),
        ("time", f"{result['seconds']:,.1f} s, evaluations included"),
        ("machine", result["machine"]),
    ))  # fmt: skip
    note = "How long an image takes depends on the machine; it is not measured here: the page is the same each time."
    return Section("Cost", lead, (facts, Text(note, "note")))
