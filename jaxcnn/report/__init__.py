"""One HTML file that tells a run: how good it is, how sure that is, what the network sees, and how it is fooled.

    text = report(Path("results/digits"))

The file needs no other file, no host and no program; identical runs have identical pages.
"""

from jaxcnn.report.page import check_template, report

__all__ = ["check_template", "report"]
