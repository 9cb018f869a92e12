"""Figure 2 comes from the toy's checkpoints."""

from pathlib import Path

from rdserve.cli.commands.toy import figure_2
from rdserve.zoo import TOY


def test_three_columns_of_five_in_the_papers_order() -> None:
    figure, missing = figure_2(TOY)
    assert missing == ()
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes[:15]]
    columns = [title.split("\n")[0] for title in titles if title]
    assert sorted(columns) == ["ELBO", "hand-made", "target rate"]
    rates = {title.split("\n")[0]: float(title.split("R = ")[1].split(",")[0]) for title in titles if title}
    assert rates["ELBO"] < 1e-3
    assert abs(rates["target rate"] - 0.5) < 5e-3


def test_what_is_not_there_is_said_with_what_makes_it(tmp_path: Path) -> None:
    figure, missing = figure_2(tmp_path)
    assert figure is None
    assert len(missing) == 3
    assert missing[1].startswith("toy-elbo (")
    assert missing[1].endswith(f"`rdserve toy --checkpoints {tmp_path}` makes it")
