"""The table of a comparison as LaTeX (booktabs) and as Markdown, to paste into a paper or an issue."""

from collections.abc import Sequence

from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render.formatting import signed, warned, with_error
from rdserve.compare.render.verdict import verdict
from rdserve.compare.statistics.latents import LEGEND, MARK
from rdserve.compare.statistics.paired import Difference
from rdserve.compare.statistics.summaries import ModelSummary

_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}
_MARKDOWN = set("\\`*_{}[]<>|~&")


def to_latex(analysis: Analysis) -> str:
    """A `tabular` for the package booktabs; the signature is a comment above it."""
    lines = [
        f"% {analysis.signature}",
        r"\begin{tabular}{llrrrrr}",
        r"\toprule",
        r"model & $(e,d,m)$ & $\beta$ & $R$ & $D$ & $R + D$ & $\Delta(R + D)$ \\",
        r"\midrule",
    ]
    for row, cells in _cells(analysis):
        name, family, *numbers = cells
        shown = [latex(name), rf"\texttt{{{latex(family)}}}", *(_as_maths(number) for number in numbers)]
        if row.collapsed:
            shown[0] += r"\textsuperscript{\dag}"
        if row.name == analysis.best.name:
            shown[0] = rf"\textbf{{{shown[0]}}}"
        lines.append(f"{' & '.join(shown)} \\\\")
    lines.append(r"\bottomrule")
    notes = [rf"\dag{{}}{latex(LEGEND.removeprefix(MARK))}." for row in analysis.rows if row.collapsed]
    for note in (*notes[:1], *filter(None, [latex(warned(analysis.scored.warnings))])):
        lines.append(rf"\multicolumn{{7}}{{p{{\linewidth}}}}{{\footnotesize {note}}} \\")
    return "\n".join([*lines, r"\end{tabular}", ""])


def to_markdown(analysis: Analysis) -> str:
    """The verdict, the table, and the signature in a comment."""
    lines = [
        f"**{markdown(analysis.title)}**",
        "",
        markdown(verdict(analysis)),
        "",
        "| model | tuple | β | R | D | R + D | Δ(R + D) to the best |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row, (name, family, *numbers) in _cells(analysis):
        mark = "**" if row.name == analysis.best.name else ""
        dagger = f" {MARK}" if row.collapsed else ""
        lines.append(f"| {mark}{markdown(name)}{mark}{dagger} | {markdown(family)} | {' | '.join(numbers)} |")
    what = f"Nats per image, mean ± standard error over {analysis.sample}"
    lines += [
        "",
        f"{what}; Δ is paired, with intervals that hold together with {100 * analysis.scored.level:g}%.",
    ]
    if any(row.collapsed for row in analysis.rows):
        lines += ["", f"{LEGEND}."]
    return "\n".join([*lines, "", f"<!-- {analysis.signature} -->", ""])


def latex(text: str) -> str:
    """Words that stay words in LaTeX."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def markdown(text: str) -> str:
    """Words that stay words in Markdown, on one line."""
    return "".join(f"\\{sign}" if sign in _MARKDOWN else sign for sign in " ".join(text.split()))


def _cells(analysis: Analysis) -> Sequence[tuple[ModelSummary, list[str]]]:
    return [
        (
            row,
            [
                row.name,
                row.family,
                f"{row.beta:g}",
                with_error(row.rate_nats, row.rate_standard_error_nats),
                with_error(row.distortion_nats, row.distortion_standard_error_nats),
                with_error(-row.elbo_nats, row.elbo_standard_error_nats),
                _against(analysis.against_best(row.name)),
            ],
        )
        for row in analysis.rows
    ]


def _against(total: Difference | None) -> str:
    if total is None:
        return "best"
    low, high = total.interval
    return f"{signed(total.mean)} [{signed(low)}, {signed(high)}]"


def _as_maths(number: str) -> str:
    """A number as LaTeX sets numbers."""
    if number == "best":
        return number
    for sign, maths in (("−", "-"), ("±", r"\pm"), ("∞", r"\infty")):
        number = number.replace(sign, maths)
    return f"${number}$"
