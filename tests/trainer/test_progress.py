import io

from rdserve.models.reference import Means
from rdserve.trainer import configure
from rdserve.trainer.progress import TrainingBar, bar, zoo_bars
from rich.console import Console

CONFIG = configure("---", "digits", epochs=3)


def test_a_terminal_sees_rate_distortion_and_elbo_of_both_splits() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with bar("mine", CONFIG, console) as watch:
        assert isinstance(watch, TrainingBar)
        watch.stepped(2.5, Means(1.5, 20.25))
        watch.epoch_ended(3, Means(1.5, 20.25), Means(2.0, 30.0))
    shown = screen.getvalue()
    for text in (
        "mine",
        "epoch 2.5 of 3",
        "train R   1.50 D  20.25 ELBO  -21.75",
        "valid R   2.00",
        "-32.00",
    ):
        assert text in shown


def test_a_run_that_goes_on_stands_there_from_the_start() -> None:
    screen = io.StringIO()
    with bar("mine", CONFIG, Console(file=screen, force_terminal=True, width=80), epoch=2.5):
        pass
    assert "epoch 2.5 of 3" in screen.getvalue()
    assert "epoch 0 of 3" not in screen.getvalue()


def test_four_digits_fit_80_columns() -> None:
    screen = io.StringIO()
    with bar("a" * 60, CONFIG, Console(file=screen, force_terminal=True, width=80)) as watch:
        watch.epoch_ended(1, Means(1.0, 2.0), Means(150.0, 1234.5))
        watch.stepped(1.5, Means(-0.001, 1234.5))
    numbers = "train R   0.00 D 1234.50 ELBO -1234.50  valid R 150.00 D 1234.50 ELBO -1384.50"
    assert numbers in screen.getvalue()


def test_a_terminal_sees_a_bar_for_each_model_of_a_zoo() -> None:
    screen = io.StringIO()
    with zoo_bars(3, Console(file=screen, force_terminal=True, width=80)) as bars:
        bars.began("one", 8).stepped(2.5, Means(1.5, 20.25))
        bars.began("two", 8)
        bars.ended("two")
    shown = screen.getvalue()
    for text in ("model 1 of 3", "one", "epoch 2.5 of 8", "train R   1.50 D  20.25 ELBO  -21.75"):
        assert text in shown
    last = shown.splitlines()[-2:]
    assert "two" not in "".join(last)


def test_a_file_sees_nothing() -> None:
    screen = io.StringIO()
    with bar("mine", CONFIG, Console(file=screen)) as watch:
        watch.stepped(0.5, Means(1.0, 2.0))
        watch.epoch_ended(1, Means(1.0, 2.0), Means(1.0, 2.0))
    assert screen.getvalue() == ""
