"""Both ways of sampling draw the same; what a multiply-add costs is for the benchmark to say."""

from benchmarks.sampling import latents, pixels


def test_both_ways_draw_the_same_pixels() -> None:
    found = pixels(batch=2, threads=1, timed=10, size=8, width=0.1)
    assert found.agree == found.naive_timed == 10
    assert found.naive_passes == 64
    assert found.ratios["multiply_adds"] > 50


def test_both_ways_draw_the_same_latents() -> None:
    found = latents(batch=2, threads=1, n_latents=16, width=0.1)
    assert found.agree == found.naive_passes == 64
    assert found.ratios["multiply_adds"] > 10
