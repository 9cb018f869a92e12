import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdserve.data import DataError, Source, load
from rdserve.data import preprocessing as p

GREY = load("digits-grey", split="test").x
ONE_OF_EACH = (
    p.Columns(("age", "height")),
    p.Levels(17),
    p.DequantizeUniform(3),
    p.Scale(1 / 255),
    p.Standardize((0.25, 1.0), (2.0, 3.0)),
    p.Standardize(0.1307, 0.3081),
    p.Standardize(),
    p.BernoulliStatic(7),
    p.Threshold(128),
)


def test_digits_are_grey_digits_with_a_threshold() -> None:
    np.testing.assert_array_equal(p.apply([p.Threshold(8)], GREY), load("digits", split="test").images)


def test_steps_come_back_from_json_and_from_words() -> None:
    assert p.parse_steps(json.loads(json.dumps(p.to_json(ONE_OF_EACH)))) == ONE_OF_EACH
    assert p.from_words(p.words(ONE_OF_EACH)) == ONE_OF_EACH
    assert p.words(ONE_OF_EACH[6:]) == "standardize then bernoulli_static=7 then threshold=128"
    assert p.from_words(p.words(())) == ()


@given(names=st.lists(st.text(min_size=1), min_size=1, unique=True), by=st.floats(1e-9, 1e9))
def test_names_and_numbers_come_back_whatever_they_are(names: list[str], by: float) -> None:
    for step in (p.Columns(tuple(names)), p.Scale(by)):
        assert p.parse_steps(json.loads(json.dumps(p.to_json([step])))) == (step,)
        assert p.from_words(p.words([step])) == (step,) or " then " in p.words([step])


@pytest.mark.parametrize(
    "words", ["grey level >= 8 of 16", "static, one Bernoulli(grey / 255) draw per pixel"]
)
def test_words_of_people_are_no_steps(words: str) -> None:
    assert p.from_words(words) is None


def test_equal_steps_have_one_hash() -> None:
    assert p.sha256([p.Threshold(8)]) == p.sha256(p.parse_steps([{"t": 8, "op": "threshold"}]))
    assert p.sha256([p.parse_text("scale=1/255")]) == p.sha256([p.Scale(1 / 255)])
    assert len({p.sha256([step]) for step in ONE_OF_EACH} | {p.sha256(())}) == len(ONE_OF_EACH) + 1
    assert p.sha256([p.Scale(0.5)]) == "96b49f2e221d9c3af662bda74239b6bf306c9c84b0e7b36c7bf59ea861a208e8"


@pytest.mark.parametrize("step", [p.BernoulliStatic(5), p.DequantizeUniform(5)], ids=str)
def test_what_is_drawn_belongs_to_the_example(step: p.Step) -> None:
    x = (GREY / 16).astype(np.float32) if isinstance(step, p.BernoulliStatic) else GREY
    whole = p.apply([step], x)
    ids = np.array([300, 2, 7])
    np.testing.assert_array_equal(p.apply([step], x[ids], ids), whole[ids])
    assert (p.apply([step], x[ids]) != whole[ids]).any()
    assert (p.apply([type(step)(6)], x) != whole).any()


def test_static_draws_have_their_probabilities() -> None:
    x = np.broadcast_to(np.array([0, 0.25, 1], np.float32), (4000, 3))
    found = p.apply([p.BernoulliStatic(1)], x).mean(0)
    assert (found[0], found[2]) == (0, 1)
    assert abs(found[1] - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5


def test_dequantised_values_stay_in_their_level() -> None:
    noisy = p.apply([p.DequantizeUniform(0)], GREY)
    assert noisy.dtype == np.float32
    np.testing.assert_array_equal(np.floor(noisy), GREY)
    highest = np.full((50_000, 4), 65535, np.uint16)
    assert p.apply([p.DequantizeUniform(0)], highest).max() < 65536


def test_the_training_split_standardises_all() -> None:
    train = np.array([[0.0, 10.0], [2.0, 30.0]], np.float32)
    source = Source("t", {"train": train, "test": train + 1}, {}, columns=("a", "b"))
    found = source.preprocessed([p.Columns(("b",)), p.Standardize()])
    assert found.steps[1] == p.Standardize((20.0,), (10.0,))
    test = found.split("test")
    np.testing.assert_array_equal(test.x, np.array([[-0.9], [1.1]], np.float32))
    assert (test.columns, test.sha256) == (("b",), source.sha256)
    assert p.parse_steps(p.to_json(test.preprocessing)) == test.preprocessing


def test_colours_are_standardised_each_by_itself() -> None:
    source = Source("c", {"train": load("patches", split="train").x}, {}).preprocessed([p.Standardize()])
    x = source.split("train").x
    np.testing.assert_allclose(x.mean((0, 2, 3), np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(x.std((0, 2, 3), dtype=np.float64), 1, atol=1e-6)


def test_levels_are_said_and_checked() -> None:
    floats = GREY.astype(np.float32)
    source = Source("g", {"test": floats}, {})
    data = source.preprocessed([p.Levels(17)]).split("test")
    assert (data.kind, data.levels, source.split("test").levels) == ("levels", 17, None)
    np.testing.assert_array_equal(data.x, GREY)
    wrong = r"levels=16 are the whole numbers 0 to 15, but x at \(0, \d, \d\) is 16"
    with pytest.raises(DataError, match=wrong):
        p.apply([p.Levels(16)], floats)
    with pytest.raises(DataError, match=r"is 4.5"):
        p.apply([p.Levels(16)], floats / 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold=1", "no step 'treshold'; there are threshold, bernoulli_static"),
        ("threshold", "threshold takes t, got nothing"),
        ("threshold=a", "'a' is no number"),
        ("threshold=nan", "t, a finite number, got nan"),
        ("standardize=1,2,3", "takes mean, std, got 3 values"),
        ("standardize=1,0", "std, which is above 0, got 0.0"),
        ("bernoulli_static=1.5", r"seed, a whole number from 0 to 2\*\*64 - 1, got 1.5"),
        ("levels=1", "from 2 to 65536, got 1"),
        ("columns=a,a", "each name once, got a, a"),
        ("scale=0", "leaves nothing of x"),
        ("{}", r'is written {"op": NAME, ...}, got {}'),
        ('{"op": "scale", "b": 1}', "scale takes by, got b"),
        ("{", "no JSON"),
    ],
)
def test_a_step_that_is_none_is_refused_with_what_it_takes(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        p.parse_text(text)


def test_a_card_names_the_step_that_is_wrong() -> None:
    with pytest.raises(DataError, match=r"step 2: scale takes by, got nothing"):
        p.parse_steps([{"op": "levels", "n": 4}, {"op": "scale"}])
    with pytest.raises(DataError, match="a list of steps, got str"):
        p.parse_steps("scale")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (p.BernoulliStatic(0), r"17? ?.*lie from 0 to 16; put a scale before it, as scale=1/255"),
        (p.Columns(("a",)), r"columns are of a table \(N, columns\), got 256 levels of shape \(8, 8\)"),
        (p.Standardize(), "needs the training split's mean and std"),
        (p.Standardize((1.0,), (1.0,)), r"1 means, x of shape \(8, 8\) has 8 entries"),
    ],
)
def test_steps_that_do_not_fit_the_data_quote_both(step: p.Step, message: str) -> None:
    with pytest.raises(DataError, match=message):
        p.apply([step], GREY)


def test_other_steps_that_do_not_fit() -> None:
    table = np.array([[1.5, 2.0]], np.float32)
    with pytest.raises(DataError, match="no column 'c'; there are a, b"):
        p.apply([p.Columns(("c",))], table, columns=("a", "b"))
    np.testing.assert_array_equal(p.apply([p.Columns(("1",))], table), [[2.0]])
    with pytest.raises(DataError, match=r"levels or counts, got real numbers of shape \(2,\)"):
        p.apply([p.DequantizeUniform(0)], table)
    with pytest.raises(DataError, match="binary already"):
        p.apply([p.Threshold(0.5)], table > 1)
    with pytest.raises(DataError, match=r"one example id for each of 1 rows, got ids of shape \(2,\)"):
        p.apply([], table, [0, 1])
    with pytest.raises(DataError, match="'b' does not vary"):
        Source("t", {"train": np.array([[0, 1], [2, 1]], np.float32)}, {}, columns=("a", "b")).preprocessed(
            [p.Standardize()]
        )
    with pytest.raises(DataError, match="there is none here"):
        Source("t", {"test": table}, {}).preprocessed([p.Standardize()])
