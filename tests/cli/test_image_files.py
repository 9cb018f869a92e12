import numpy as np
from rdserve.cli.image_files import as_text


def test_two_pixels_to_a_character() -> None:
    image = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])
    assert as_text(image[None]) == " ▀▄█"


def test_an_odd_row_is_the_upper_half() -> None:
    assert as_text(np.ones((1, 3, 2))) == "██\n▀▀"


def test_as_many_images_as_fit() -> None:
    images = np.ones((50, 8, 8))
    assert max(map(len, as_text(images, width=100).splitlines())) <= 100
    assert as_text(images, width=4).splitlines()[0] == "█" * 8
