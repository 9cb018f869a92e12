"""Which models go into which figure."""

from rdserve.study import figure_selection
from studied import run_at, runs_at

FAMILIES = figure_selection.FIGURE_5


def traditional() -> list:  # type: ignore[type-arg]
    return [run_at((family, 1.0, 2.0 + k, 20.0 - k)) for k, family in enumerate(FAMILIES)]


def test_figure_5_has_all_families_in_the_papers_order_and_says_who_is_missing() -> None:
    runs = traditional()
    assert [run.family for run in figure_selection.traditional(runs).models] == list(FAMILIES)
    without = [run for run in runs if run.family != "-++"]
    choice = figure_selection.traditional(without)
    assert [run.family for run in choice.models] == [family for family in FAMILIES if family != "-++"]
    assert choice.missing == ("-++ at beta 1, not annealed",)


def test_annealing_decides_at_beta_1_with_an_autoregressive_decoder_only() -> None:
    plain = run_at(("-+v", 1.0, 0, 81))
    annealed = run_at(("-+v", 1.0, 6, 74), annealed=True)
    deconv = run_at(("--v", 1.0, 25, 59), annealed=True)
    runs = [plain, annealed, deconv]
    assert figure_selection.find(runs, "-+v", 1.0, annealed=False) is plain
    assert figure_selection.find(runs, "-+v", 1.0, annealed=True) is annealed
    assert figure_selection.find([annealed], "-+v", 1.0, annealed=False) is None
    assert figure_selection.find(runs, "--v", 1.0, annealed=False) is deconv
    assert figure_selection.traditional_vamp(runs).models == (deconv, plain)


def test_figure_4a_is_a_sweep_and_names_the_betas_it_lacks() -> None:
    runs = [run_at(("-+v", beta, r, d), annealed=beta == 1) for beta, r, d in ((0.1, 156, 5), (1.0, 6, 74))]
    choice = figure_selection.sweep(runs)
    assert [run.beta for run in choice.models] == [1.0, 0.1]
    assert choice.missing == ("-+v at beta 1.1", "-+v at beta 0.15")


def test_other_objectives_are_no_points_of_the_papers() -> None:
    assert (
        figure_selection.find([run_at(("---", 1.0, 1, 1), objective="iwae")], "---", 1.0, annealed=False)
        is None
    )


def test_of_runs_trained_alike_the_better_one() -> None:
    worse, better = (run_at(("---", 1.0, 27, d), name=f"seed-{d}") for d in (61, 60))
    assert figure_selection.find([worse, better], "---", 1.0, annealed=False) is better


def test_models_of_equal_elbo_span_the_rates_and_leave_out_the_poor() -> None:
    places = [(0.0, 80.6), (0.1, 80.5), (2.8, 78.2), (8.3, 71.9), (25.8, 57.7), (120.0, 8.0)]
    runs = [run_at(("++v", 1.0, r, d), name=str(r)) for r, d in places]
    choice = figure_selection.of_equal_elbo(runs)
    assert [run.name for run in choice.models] == ["25.8", "8.3", "2.8", "0.0"]
    assert choice.missing == ()
    assert figure_selection.of_equal_elbo(runs[-2:]).missing == ("3 more models within 5% of the best R + D",)


def test_the_frontier_and_of_many_the_best() -> None:
    dominated = run_at(("---", 1.0, 10, 75))
    line = [run_at(("-+v", 1.0, r, 80 - 0.9 * r), name=str(r)) for r in range(20)]
    chosen = figure_selection.on_frontier(runs_at([dominated, *line]).all).models
    assert [run.row.rate_nats for run in chosen] == list(range(12, -1, -1))
