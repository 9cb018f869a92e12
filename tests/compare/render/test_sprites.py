import base64
from io import BytesIO

import numpy as np
from PIL import Image
from rdserve.client.results import Reconstruction, Sample
from rdserve.compare.render.html import sprites


def test_cells_hold_samples_and_means_as_ink() -> None:
    rng = np.random.default_rng(0)
    made, drawn = (rng.integers(0, 2, (n, 5, 4, 6), dtype=np.uint8) for n in (3, 2))
    latents = np.zeros((3, 1), np.float32)
    pixels = sprites.model_sprite(Reconstruction(latents, made), Sample(latents, drawn))
    assert pixels.shape == (4 * 4, 3 * 6)
    cells = pixels.reshape(4, 4, 3, 6).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(cells[sprites.RECONSTRUCTED], 255 * (1 - made[:, 0]))
    np.testing.assert_array_equal(cells[sprites.GENERATED_MEAN, 1], np.round(255 * (1 - drawn[1].mean(0))))
    assert (cells[sprites.GENERATED, 2] == 255).all()


def test_a_uri_holds_the_same_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    kind, data = sprites.data_uri(pixels).split(",")
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(data)))), pixels)
