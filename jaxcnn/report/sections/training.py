"""How training went, epoch by epoch."""

from __future__ import annotations

import csv
import io
from typing import Any

from jaxcnn.charts.svg import Axis, Line, curves
from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Block, Details, Download, Plot, Row, Section, Table, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import data_uri
from jaxcnn.report.verdict import duration

RATIO = 20  # from which on a loss is drawn on a logarithmic axis


def training(run: Examined) -> Section:
    """Loss, accuracy, learning rate and gradient over the epochs, with the best epoch marked; all figures."""
    rows, result = run.finished.rows, run.result
    done = f"{counted(len(rows), 'epoch')}, {counted(result['steps'], 'step')}, {duration(result['seconds'])}"
    if not rows:
        told = (
            f"{counted(result['epochs'], 'epoch')}, {counted(result['steps'], 'step')}, {duration(result['seconds'])}"
        )
        return Section(
            "Training", f"{told}.", (Text("What each epoch came to is not there: no metrics.jsonl.", "note"),)
        )
    judge = "validation" if f"validation_{run.finished.task.loss.key}" in rows[-1] else "test"
    blocks: list[Block] = [Row(tuple(_plots(run, rows, judge)))]
    if judge == "test" and len(rows) > 1:
        blocks.append(
            Text(
                "Test figures of each epoch were seen in training; none was chosen by them: the last one counts.",
                "note",
            )
        )
    if before := run.record.before:
        blocks.append(Text(f"The run was trained further {counted(len(before), 'time')} after it was done.", "note"))
    blocks.append(Details("All figures", (_table(rows),)))
    blocks.append(Download("metrics.csv", data_uri(_csv(rows)), "All figures as metrics.csv"))
    last = rows[-1]
    lead = (
        f"{done}. In the last epoch the training loss is {last['train_loss']:.4f}, "
        f"the {judge} loss {last.get(f'{judge}_loss', float('nan')):.4f}."
    )
    return Section("Training", lead, tuple(blocks))


def _plots(run: Examined, rows: list[dict[str, Any]], judge: str) -> list[Plot]:
    best = run.result.get("best_epoch")
    mark = (float(best), f"best: {best}") if best else None
    epochs = Axis("epoch", 0.0 if len(rows) == 1 else float(rows[0]["epoch"]), float(rows[-1]["epoch"]))
    figures = [
        ("loss", "loss", 1.0, (("train", "training"), (judge, judge)), None),
        ("accuracy", "accuracy, %", 100.0, (("train", "training"), (judge, judge)), None),
        ("learning_rate", "learning rate", 1.0, (("", ""),), 0.0),
        ("gradient_norm", "gradient norm, mean of an epoch", 1.0, (("", ""),), 0.0),
    ]
    found = []
    for key, label, scale, splits, low in figures:
        lines = []
        for split, name in splits:
            column = f"{split}_{key}" if split else key
            lines.append(Line(name, [(row["epoch"], scale * row[column]) for row in rows if column in row]))
        if not any(line.points for line in lines):
            continue
        values = [value for line in lines for _, value in line.points]
        log = key == "loss" and min(values) > 0 and max(values) > RATIO * min(values)
        told = "; ".join(
            f"{line.name or key.replace('_', ' ')} {line.points[0][1]:.4g} at first, {line.points[-1][1]:.4g} at last"
            for line in lines
            if line.points
        )
        shown = Axis(f"{label}, logarithmic" if log else label, low, log=log)
        found.append(Plot(curves(lines, epochs, shown, f"{label} over the epochs: {told}", mark=mark)))
    return found


def _table(rows: list[dict[str, Any]]) -> Table:
    names = [name for name in rows[-1] if name != "epoch"]
    head = ("epoch", *(name.replace("_", " ") for name in names))
    cells = tuple((str(row["epoch"]), *(_cell(row.get(name)) for name in names)) for row in rows)
    return Table("Figures of every epoch", head, cells, ">" * len(head))


def _cell(value: float | int | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
