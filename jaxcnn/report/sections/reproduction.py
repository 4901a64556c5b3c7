"""All that is needed to get the same network again."""

from __future__ import annotations

import json
from typing import Any

from jaxcnn.config import TrainConfig
from jaxcnn.host.settings import flat, to_json
from jaxcnn.report.blocks import Block, Code, Details, Download, Facts, Heading, Section, Table, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import data_uri
from jaxcnn.training.run_folder import fingerprint


def reproduction(run: Examined) -> Section:
    """The command, what differs from the defaults, versions, machine, seeds, and fingerprints that were checked."""
    result, config = run.result, run.record.config
    defaults = flat(to_json(TrainConfig()))
    settings = run.finished.settings
    differ = {name: value for name, value in settings.items() if name not in defaults or defaults[name] != value}
    here = fingerprint(run.subject.params, run.subject.batch_stats)
    same = here == result.get("params_sha256")
    lead = (
        f"Seed {config.seed}; {len(differ)} of {len(settings)} settings differ from the defaults. The parameters here "
        + (
            "have the fingerprint that training wrote down."
            if same
            else "do not have the one that training wrote down."
        )
    )
    text = json.dumps(to_json(config), indent=1)
    blocks: list[Block] = [Code(result["command"])] if result.get("command") else []
    if not same:
        blocks.append(Text(f"They are {here}: of another checkpoint, or changed since.", "warning"))
    blocks += [
        Heading("What differs from the defaults"),
        _settings("Settings that are not as by default", differ) if differ else Text("Nothing."),
        Details(f"All {len(settings)} settings", (_settings("All settings", settings),)),
        Download("config.json", data_uri(text, "application/json"), "The settings as config.json"),
        Heading("Fingerprints, seeds and versions"), _facts(run),
    ]  # fmt: skip
    return Section("Reproduction", lead, tuple(blocks))


def _settings(caption: str, settings: dict[str, Any]) -> Table:
    rows = tuple((name, json.dumps(value)) for name, value in settings.items())
    return Table(caption, ("setting", "value"), rows, "<<")


def _facts(run: Examined) -> Facts:
    result, config, native = run.result, run.record.config, run.result.get("native", {})
    program = "used" if native.get("used") else f"not used: {native.get('reason')}"
    if native.get("used"):
        program += f", {native.get('threads')} threads, {native.get('compiler')}"
    rows = [
        ("parameters, SHA-256", result.get("params_sha256", "")), ("data, SHA-256", run.record.facts.data),
        ("seeds", f"{config.seed} of parameters, order, augmentation; {config.data.split_seed} of the split"),
        ("checkpoint", f"{run.trained.checkpoint}, after {result['steps']:,} steps"),
        ("versions", ", ".join(f"{name} {number}" for name, number in result["versions"].items())),
        ("machine", result["machine"]), ("C++ program", program),
    ]  # fmt: skip
    if run.record.teacher:
        rows.append(("teacher, SHA-256", run.record.teacher))
    return Facts(tuple(rows))
