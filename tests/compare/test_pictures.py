import numpy as np
from rdserve.compare.pictures import representatives


def test_with_labels_the_classes_of_the_paper() -> None:
    labels = np.array([8, 3, 1, 0, 2, 2, 0], np.uint8)
    assert representatives(labels, 7).tolist() == [4, 3, 2, 0]


def test_without_labels_or_with_a_class_missing_an_even_spread() -> None:
    assert representatives(None, 10).tolist() == [0, 3, 6, 9]
    assert representatives(np.zeros(10, np.uint8), 10).tolist() == [0, 3, 6, 9]
    assert representatives(np.array([2, 0, 1, 8], np.uint8), 2).tolist() == [0, 1]


def test_no_more_than_there_are() -> None:
    assert representatives(None, 1).tolist() == [0]
