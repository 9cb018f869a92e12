import io

from rdserve.trainer import configure
from rdserve.trainer.progress import Bar, bar
from rdserve.trainer.run import Means
from rich.console import Console

CONFIG = configure("---", "digits", epochs=3)


def test_a_terminal_sees_rate_distortion_and_elbo_of_both_splits() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200)
    with bar("mine", CONFIG, console) as watch:
        assert isinstance(watch, Bar)
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


def test_a_file_sees_nothing() -> None:
    screen = io.StringIO()
    with bar("mine", CONFIG, Console(file=screen)) as watch:
        watch.stepped(0.5, Means(1.0, 2.0))
        watch.epoch_ended(1, Means(1.0, 2.0), Means(1.0, 2.0))
    assert screen.getvalue() == ""
