"""The report as text: nothing from outside, nothing that a name could run, everything inside."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from drawn import pictures_of
from points import CROWDED, comparison_at
from rdserve.compare.comparison import Comparison
from rdserve.compare.origin import Origin
from rdserve.compare.rebuilt import contradictions
from rdserve.compare.render import document as documents
from rdserve.compare.render import json_stream
from rdserve.compare.render.document import DATA_ID, to_document
from rdserve.compare.render.html import report
from rdserve.compare.score_document import from_document
from rdserve.compare.statistics.latents import Latents
from rdserve.compare.verify import read

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}--><!--"


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.code:
            self.code[self._inside].append(data)
        else:
            self.text += data


def hostile() -> Comparison:
    plain = comparison_at(CROWDED[:3])
    changes = {"name": HOSTILE, "state_reason": HOSTILE, "data_name": HOSTILE, "binarisation": HOSTILE}
    strange = replace(plain.models[0], **changes, family=HOSTILE)
    models = (strange, *plain.models[1:])
    origin = Origin("2026-01-02T03:04:05+00:00", HOSTILE, HOSTILE)
    return replace(plain, models=models, warnings=(HOSTILE,), failures={HOSTILE: HOSTILE}, origin=origin)


def test_names_stay_words() -> None:
    comparison = hostile()
    page = Elements(report.render(comparison.analysis, pictures_of(comparison)))
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count(HOSTILE) > 10
    inside = json.loads(next(text for text in page.code["script"] if text.startswith("{")))
    assert inside["warnings"] == [HOSTILE]


def test_nothing_comes_from_outside() -> None:
    comparison = comparison_at(CROWDED)
    html = report.render(comparison.analysis, pictures_of(comparison))
    addresses = [
        value
        for _, attributes in Elements(html).tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
    ]
    assert addresses
    assert all(value and re.match(r"#|data:,", value) for value in addresses)
    assert set(re.findall(r"url\((.{5})", html)) <= {"data:", "#fram"}
    assert not re.findall(r"@import|\bstyle=", html)


def test_the_policy_allows_the_pages_own_code_alone() -> None:
    page = Elements(report.render(comparison_at(CROWDED[:2]).analysis))
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    for kind, text in (("style", page.code["style"][0]), ("script", page.code["script"][-1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_whole_comparison_is_inside(tmp_path: Path) -> None:
    comparison = comparison_at(CROWDED[:4], labels=True)
    comparison.report(tmp_path / "new" / "report.html")
    document = read(tmp_path / "new" / "report.html")
    assert document == json.loads("".join(json_stream.text(to_document(comparison.analysis))))
    again = from_document(document["examples"])
    assert again.models == comparison.models
    for mine, its in zip(comparison.scores, again.scores, strict=True):
        np.testing.assert_array_equal(mine.rate_nats, its.rate_nats)
        np.testing.assert_array_equal(mine.distortion_nats, its.distortion_nats)


def test_of_very_many_images_a_part_is_inside_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "REPORT_LINES", 20)
    comparison = comparison_at(CROWDED[:2], n=50, labels=True)
    comparison.report(tmp_path / "report.html")
    document = read(tmp_path / "report.html")
    assert document["data"]["n"] == document["examples"]["part_of"] == 50
    held = from_document(document["examples"])
    assert held.example_ids.tolist() == np.linspace(0, 49, 10).round().tolist()
    np.testing.assert_array_equal(held.scores[1].rate_nats, comparison.scores[1].rate_nats[held.example_ids])
    assert "are R and D of 10 of them" in Elements((tmp_path / "report.html").read_text()).text
    assert contradictions(document) == []
    document["models"][0]["rate_nats"] += 3
    assert [line[:22] for line in contradictions(document)] == ["m0: rate_nats is given"]
    document["signature"] = document["signature"].replace("seed:0", "seed:1")
    assert "the signature is not that of the examples" in contradictions(document)[1]


@pytest.mark.parametrize(("models", "n"), [(1, 50), (1, 1), (2, 1), (2, 2), (3, 3)])
def test_small_comparisons_have_a_report_too(models: int, n: int) -> None:
    comparison = comparison_at(CROWDED[:models], n=n)
    for pictures in (None, pictures_of(comparison)):
        html = report.render(comparison.analysis, pictures)
        assert "nan" not in html.replace("tenant", "").lower().split("<script")[0]
        assert ("Pair by pair" in html) == (models > 1)
        assert (">Where they differ<" in html) == (pictures is not None and models > 1)


def test_models_without_pictures_are_named_with_the_reason() -> None:
    comparison = comparison_at(CROWDED[:3])
    drawn = pictures_of(comparison)
    left = {name: made for name, made in drawn.reconstructions.items() if name != "m1"}
    html = report.render(
        comparison.analysis, replace(drawn, reconstructions=left, failures={"m1": "it went away"})
    )
    assert "<b>m1</b> gave no pictures: it went away" in html


def test_the_signature_is_in_the_head_and_at_the_foot() -> None:
    findings = comparison_at(CROWDED[:2]).analysis
    page = Elements(report.render(findings))
    assert ("meta", {"name": "rdserve-signature", "content": findings.signature}) in page.tags
    assert findings.signature in page.text


def test_date_service_and_command_are_on_it_and_change_nothing_inside() -> None:
    plain = comparison_at(CROWDED[:2])
    origin = Origin("2026-01-02T03:04:05+00:00", "vae.example:50051", "rdserve compare --data digits")
    made = replace(plain, origin=origin)
    html = report.render(made.analysis)
    page = " ".join(Elements(html).text.split())
    assert "Begun 2026-01-02 03:04 UTC · service vae.example:50051 · rdserve " in page
    assert " · rdserve compare --data digits " in page
    assert html == report.render(replace(made).analysis)
    assert list(json_stream.text(to_document(made.analysis))) == list(
        json_stream.text(to_document(plain.analysis))
    )


def test_a_winner_that_ignores_its_code_is_named_so_in_the_table_the_plane_and_its_card() -> None:
    both = comparison_at([(0.02, 18), (5, 14)], noise=0.1)
    html = report.render(both.analysis, pictures_of(both))
    said = "† ignores its code (R 0.03)"
    for start, end in (
        ('<th scope="row" data-value="m0">', "</th>"),
        ('<div id="panel-words"', "</div>"),
        ('<details id="model-0">', "</summary>"),
    ):
        assert said in Elements(html.partition(start)[2].partition(end)[0]).text, start
    assert html.count(f'class="ignores">{said}') == html.count('class="ignores"')
    assert re.search(r'aria-label="m0, ---: [^"]*, ignores its code"', html)
    assert "†" not in report.render(comparison_at([(5, 14), (6, 14)]).analysis).partition("<main")[2].replace(
        "† ignores its code: R below 0.1 nats, so that", ""
    )


def test_beside_the_best_stands_what_independent_pixels_would_cost() -> None:
    images = np.zeros((50, 8, 8), bool)
    images[:25, 0, :2] = True  # two pixels are on in half of the images, the others never
    text = Elements(report.render(comparison_at(CROWDED[:2]).analysis, images=images)).text
    assert f"would cost {2 * np.log(2):.2f} nats." in text
    assert "would cost" not in Elements(report.render(comparison_at(CROWDED[:2]).analysis)).text


def test_a_newcomer_finds_each_term_in_words() -> None:
    page = Elements(report.render(comparison_at(CROWDED[:3], labels=True).analysis))
    text = " ".join(page.text.split())
    for words in (
        "R, rateWhat the code z of an image costs",
        "D, distortionWhat the image still costs",
        "natThe unit of R, D and ELBO, per image: 1.44 bits.",
        "βWeight of R",
        "Gaussian encoder, deconvolution decoder, autoregressive flow marginal",
        "Gaussian encoder, deconvolution decoder, VampPrior",
        "Open: the interval of the difference leaves both answers",
        "true at once, which asks for more",
        "All points of a sloping line have one ELBO",
        "Win, tie, loss: on how many images",
        "SHA-256 of the weightsm0@111111111111, m1@111111111111",
    ):
        assert words in text, words
    for key in ("rate_nats", "pairs.", "curves.gaps", "adjusted_p"):
        assert key not in text


def test_rates_by_dimension_are_shown_only_where_they_add_up_to_r() -> None:
    comparison = comparison_at(CROWDED[:3])  # of ---, --+ and --v
    ours, its = (
        Latents(np.ones(4), np.ones(4, bool), np.array([57.48, 35.12, 1, 1]), of_the_model)
        for of_the_model in (True, False)
    )
    drawn = replace(pictures_of(comparison), latents={"m0": ours, "m1": its, "m2": its})
    text = Elements(report.render(comparison.analysis, drawn)).text
    assert text.count("57.48, 35.12") == 1
    assert text.count("R has no parts by dimension") == 2


def test_the_data_is_where_a_reader_looks_for_it() -> None:
    page = Elements(report.render(comparison_at(CROWDED[:2]).analysis))
    assert ("script", {"type": "application/json", "id": DATA_ID}) in page.tags
