"""The report: one HTML file that needs nothing else, with the whole comparison inside."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from rdserve.compare.analysis.analysis import Analysis
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import DATA_ID, in_report, to_document
from rdserve.compare.render.formatting import interval, nats, p_value, signed
from rdserve.compare.render.html.page import page_of
from rdserve.compare.render.verdict import answer
from rdserve.compare.scoring.pictures import Pictures


def render(analysis: Analysis, pictures: Pictures | None = None, images: NDArray[Any] | None = None) -> str:
    """The report as HTML text. images: (N, H, W), all that were scored, where they are at hand.

    Its policy forbids every request, and every style and script but the two written here, by their
    hashes: a model's name can be anything, and stays words.
    """
    env = _environment()
    page = page_of(analysis, pictures, images)
    css = env.get_template("report.css.j2").render(page=page)
    script = files("rdserve.compare.render.html").joinpath("templates/report.js").read_text(encoding="utf-8")
    return env.get_template("report.html.j2").render(
        page=page,
        css=Markup(css),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {_hash(css)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        verdict=answer(analysis),
        document=embedded(to_document(analysis, n=in_report(analysis.scored))),
        data_id=DATA_ID,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rdserve.compare.render.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"nats": nats, "signed": signed, "interval": interval, "p": p_value}
    return environment


def embedded(document: Mapping[str, Any]) -> Markup:
    """JSON that ends no script element and opens no comment, whatever it says."""
    harmless = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&"})
    return Markup("".join(part.translate(harmless) for part in json_stream.text(document)))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
