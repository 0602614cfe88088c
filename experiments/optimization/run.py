"""How many measurements different optimizers need to find the good ones in tables of what was really measured.

A pool is a table whose values are all known; an optimizer sees only those it asked for. Every method gets the same
5 random starts and 40 evaluations in all. Written for each run: the share of the best 5 % of the pool that was found,
and the evaluations to the first of them, to 80 % of them, and to the best.

    OMP_NUM_THREADS=1 python experiments/optimization/run.py run --methods nascreen random --seeds 30
    python experiments/optimization/run.py show
    python experiments/optimization/run.py warm

Pools: the NASICON survey at 300 °C and the glasses at 20 °C (composition), the literature at room temperature
(composition and processing), NASICON ceramics by their processing alone, and lithium conductors at room temperature.
``--table FILE`` adds a table of numbers whose last column is maximised (``-FILE`` to minimise it). Repeated inputs are
averaged. Optuna's Gaussian process and BayBE need torch, so they run where that is installed.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nascreen.datasets import USABLE_ORIGINS, load_table
from nascreen.encoding import Encoded, encode
from nascreen.optimizer import propose
from nascreen.proposals import Acquisition, Objective, Problem
from nascreen.records import Sample

Array = NDArray[np.float64]
Chooser = Callable[[list[int]], int]

BUDGET = 40
N_STARTS = 5
TOP_SHARE = 0.05
WARM = ("nasicon_survey", "literature", "glasses")
SURVEY = "10.1016/j.jpowsour.2014.09.137"
NUMBERS = ("sinter_temp_c", "sinter_time_h", "heat_temp_c", "heat_time_h", "press_mpa", "rel_density_pct",
           "second_phase_wt_pct")  # fmt: skip
TEXTS = ("phase", "synthesis", "second_phase", "second_phase_role")
FIELDS = ("pool", "method", "seed", "n_rows", "share_found", "n_first", "n_80", "n_best", "seconds_per_ask")


# ---------------------------------------------------------------- pools


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates whose values are known.

    Attributes:
        name: Name of the pool.
        inputs: Encoded candidates.
        plain: One parameter per column, scaled to 0..1, as general optimizers take them, shape (n, d).
        targets: What is maximised, shape (n,).
        formulas: Formula of each, empty without one.
        papers: Code of the papers of each, the same for candidates that share one, shape (n,).
    """

    name: str
    inputs: Encoded
    plain: Array
    targets: Array
    formulas: tuple[str, ...] = ()
    papers: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    @property
    def top(self) -> set[int]:
        """The best 5 %."""
        n = math.ceil(TOP_SHARE * len(self.targets))
        return set(np.argsort(-self.targets, kind="stable")[:n].tolist())


def _rows(table: str, low_c: float, high_c: float) -> list[Sample]:
    origins = USABLE_ORIGINS | {"computed_or_interpolated", "tabulated_2_decimals"}
    return [
        s
        for s in load_table(table)
        if s.conductivity_s_cm
        and s.meas_temp_c is not None
        and low_c <= s.meas_temp_c <= high_c
        and s.formula
        and s.conductivity_kind != "grain_boundary"
        and (s.value_origin in origins)
    ]


def _pool(name: str, samples: Sequence[Sample], columns: Sequence[str]) -> Pool:
    """Return the mean log10 conductivity of each distinct candidate."""
    by_key: dict[tuple[object, ...], list[float]] = {}
    papers: dict[str, list[int]] = {}
    for s in samples:
        by_key.setdefault(key := tuple(getattr(s, c) for c in columns), []).append(math.log10(s.conductivity_s_cm or 1))
        papers.setdefault(s.paper_id, []).append(list(by_key).index(key))
    cells = {c: [key[i] for key in by_key] for i, c in enumerate(columns)}
    inputs = encode(cells, {c: "categorical" for c in columns if c in TEXTS})
    groups = [i for i, label in enumerate(inputs.names) if not label.startswith("formula.") or "fraction" in label]
    plain = inputs.values[:, np.isin(inputs.groups, groups)]
    targets = np.array([np.mean(v) for v in by_key.values()])
    return Pool(name, inputs, _unit(plain), targets, tuple(map(str, cells["formula"])) if "formula" in cells else (),
                _joined(papers.values(), len(targets)))  # fmt: skip


def _joined(papers: Iterable[Sequence[int]], n: int) -> NDArray[np.intp]:
    """Return a code of each candidate, the same for those that a paper joins, shape (n,)."""
    edges = [(one[0], other) for one in papers for other in one]
    left, right = np.array(edges).T
    return np.asarray(connected_components(coo_array((np.ones(len(edges)), (left, right)), (n, n)))[1], dtype=np.intp)


def _unit(values: Array) -> Array:
    values = values[:, np.ptp(values, axis=0) > 0]
    return np.asarray((values - values.min(axis=0)) / np.ptp(values, axis=0))


def measured_pools() -> Iterator[Pool]:
    """Yield the pools made of the shipped tables."""
    literature = _rows("literature", 15, 35)
    survey = [s for s in _rows("literature", 299, 301) if s.paper_id.startswith(SURVEY)]
    yield _pool("nasicon_survey", survey, ("formula",))
    yield _pool("literature", literature, ("formula", *NUMBERS, *TEXTS))
    made = [s for s in literature if s.family == "nasicon" and s.synthesis]
    yield _pool("process_only", made, (*NUMBERS, *TEXTS))
    yield _pool("glasses", _rows("glasses", 20, 20), ("formula",))
    yield _pool("lithium", _rows("lithium", 20, 30), ("formula",))


def table_pool(path: str) -> Pool:
    """Return the pool of a table of numbers without a header, its last column the target."""
    sign = -1.0 if path.startswith("-") else 1.0
    data = np.loadtxt(path.removeprefix("-"), delimiter=",")
    rows, codes = np.unique(np.round(data[:, :-1], 10), axis=0, return_inverse=True)
    values = sign * np.bincount(codes.ravel(), data[:, -1]) / np.bincount(codes.ravel())
    inputs = encode({f"x{i}": column.tolist() for i, column in enumerate(rows.T)})
    return Pool(Path(path).parent.name.removeprefix("dataset_"), inputs, _unit(rows), values)


# ---------------------------------------------------------------- methods


def _nascreen(acquisition: Acquisition = "auto") -> Callable[[Pool, int], Chooser]:
    def start(pool: Pool, seed: int) -> Chooser:
        def choose(told: list[int]) -> int:
            problem = Problem(
                pool.inputs, (Objective("y"),), ("y",), np.array(told, dtype=np.intp), pool.targets[told, None]
            )
            return propose(problem, 1, acquisition=acquisition, seed=seed).suggestions[0].index

        return choose

    return start


def _random(pool: Pool, seed: int) -> Chooser:
    rng = np.random.default_rng(seed + 10_000)
    return lambda told: int(rng.choice(np.setdiff1d(np.arange(len(pool.targets)), told)))


def _gp_lcb(pool: Pool, seed: int) -> Chooser:
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    def fit(loss: Callable[[Array], object], start: Array, bounds: Array) -> tuple[Array, float]:
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
        return found.x, found.fun

    def choose(told: list[int]) -> int:
        rest = np.setdiff1d(np.arange(len(pool.targets)), told)
        kernel = ConstantKernel(1.0) * Matern(np.ones(pool.plain.shape[1]), nu=2.5) + WhiteKernel(1e-2, (1e-6, 1.0))
        model = GaussianProcessRegressor(kernel, optimizer=fit, normalize_y=True, random_state=seed)
        mean, sd = model.fit(pool.plain[told], pool.targets[told]).predict(pool.plain[rest], return_std=True)
        return int(rest[np.argmax(mean + sd)])

    return choose


def _forest(pool: Pool, seed: int) -> Chooser:
    from sklearn.ensemble import RandomForestRegressor

    def choose(told: list[int]) -> int:
        rest = np.setdiff1d(np.arange(len(pool.targets)), told)
        model = RandomForestRegressor(100, random_state=seed).fit(pool.plain[told], pool.targets[told])
        each = np.stack([tree.predict(pool.plain[rest]) for tree in model.estimators_])
        return int(rest[np.argmax(each.mean(axis=0) + each.std(axis=0))])

    return choose


def _optuna(kind: str) -> Callable[[Pool, int], Chooser]:
    """Ask in the box of the parameters and take the nearest candidate that is not told; tell that one."""

    def start(pool: Pool, seed: int) -> Chooser:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        sampler = (
            optuna.samplers.TPESampler(multivariate=True, n_startup_trials=N_STARTS, seed=seed)
            if kind == "tpe"
            else optuna.samplers.GPSampler(n_startup_trials=N_STARTS, seed=seed)
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        names = [f"x{i}" for i in range(pool.plain.shape[1])]
        space = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        known: list[int] = []

        def tell(row: int) -> None:
            params = dict(zip(names, pool.plain[row].tolist(), strict=True))
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=space, value=float(pool.targets[row]))
            )
            known.append(row)

        def choose(told: list[int]) -> int:
            for row in told[len(known) :]:
                tell(row)
            trial = study.ask(space)
            asked = np.array([trial.params[name] for name in names])
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            gap = ((pool.plain - asked) ** 2).sum(axis=1)
            gap[told] = np.inf
            return int(np.argmin(gap))

        return choose

    return start


def _baybe(pool: Pool, seed: int) -> Chooser:
    import pandas as pd
    import torch
    from baybe import Campaign
    from baybe.parameters import NumericalDiscreteParameter
    from baybe.searchspace import SearchSpace
    from baybe.targets import NumericalTarget

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    warnings.simplefilter("ignore")
    frame = pd.DataFrame({f"x{i}": np.round(c, 9) for i, c in enumerate(pool.plain.T)})
    first = {row: i for i, row in reversed(list(enumerate(map(tuple, frame.to_numpy()))))}
    parameters = [NumericalDiscreteParameter(name, sorted(set(frame[name])), tolerance=0) for name in frame]
    space = SearchSpace.from_dataframe(frame.drop_duplicates(), parameters)
    campaign = Campaign(space, NumericalTarget("y").to_objective())
    known: list[int] = []

    def choose(told: list[int]) -> int:
        new = told[len(known) :]
        campaign.add_measurements(frame.iloc[new].assign(y=pool.targets[new]))
        known.extend(new)
        asked = campaign.recommend(1)[list(frame)].to_numpy()[0]
        return first[tuple(asked)]

    return choose


METHODS: dict[str, Callable[[Pool, int], Chooser]] = {
    "nascreen": _nascreen(),
    "random": _random,
    "nascreen_log_ei": _nascreen("expected_improvement"),
    "nascreen_ucb": _nascreen("upper_bound"),
    "gp_ard_lcb": _gp_lcb,
    "random_forest": _forest,
    "optuna_tpe": _optuna("tpe"),
    "optuna_gp": _optuna("gp"),
    "baybe": _baybe,
}


# ---------------------------------------------------------------- runs


def campaign(pool: Pool, method: str, seed: int, budget: int = BUDGET) -> dict[str, object]:
    """Run one method on one pool, and return a row of the results."""
    told = np.random.default_rng(seed).permutation(len(pool.targets))[:N_STARTS].tolist()
    choose = METHODS[method](pool, seed)
    begin = time.process_time()
    while len(told) < min(budget, len(pool.targets)):
        told.append(choose(told))
    seconds = (time.process_time() - begin) / (len(told) - N_STARTS)
    top = pool.top
    hits = np.cumsum([row in top for row in told])
    best = int(np.argmax(pool.targets))
    return {
        "pool": pool.name, "method": method, "seed": seed, "n_rows": len(pool.targets),
        "share_found": round(float(hits[-1]) / len(top), 4), "n_first": _first(hits >= 1),
        "n_80": _first(hits >= 0.8 * len(top)), "n_best": _first(np.array(told) == best),
        "seconds_per_ask": round(seconds, 4),
    }  # fmt: skip


def _first(reached: NDArray[np.bool_]) -> int | str:
    return int(np.argmax(reached)) + 1 if reached.any() else ""


def run(path: Path, methods: Sequence[str], seeds: int, pools: Sequence[Pool]) -> None:
    """Append what is not yet in a file of results."""
    done = {(r["pool"], r["method"], int(r["seed"])) for r in _read(path)} if path.exists() else set()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not done:
            writer.writeheader()
        for seed in range(seeds):
            for pool in pools:
                for method in methods:
                    if (pool.name, method, seed) not in done:
                        writer.writerow(campaign(pool, method, seed))
                        file.flush()


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- tables


def show(path: Path) -> None:
    """Print the share found, by pool and method, and how far nascreen is ahead."""
    rows = _read(path)
    found: dict[str, dict[str, dict[int, float]]] = {}
    for r in rows:
        found.setdefault(r["method"], {}).setdefault(r["pool"], {})[int(r["seed"])] = float(r["share_found"])
    pools = list(dict.fromkeys(r["pool"] for r in rows))
    print(f"{'share of the top 5 % found':28s}" + "".join(f"{p[:12]:>13s}" for p in pools) + f"{'mean':>8s}  seeds")
    for method in [m for m in METHODS if m in found]:
        shares = [np.array(list(found[method].get(p, {}).values()) or [np.nan]) for p in pools]
        cells = "".join(f"{s.mean():7.3f}±{s.std() / math.sqrt(len(s)):.3f}" for s in shares)
        print(f"{method:28s}{cells}{np.mean([s.mean() for s in shares]):8.3f}  {max(map(len, shares))}")
    _show_ratios(found, pools)
    _show_acceleration(found, {r["pool"]: int(r["n_rows"]) for r in rows})
    _show_evaluations(rows, pools)


def _show_ratios(found: dict[str, dict[str, dict[int, float]]], pools: Sequence[str]) -> None:
    """Print the geometric mean over pools of the ratio of mean shares, with a paired bootstrap over seeds."""
    print("\nnascreen against each method: geometric mean over pools of the ratio of shares (± standard error)")
    rng = np.random.default_rng(0)
    for method in [m for m in METHODS if m in found and m != "nascreen"]:
        pairs = []
        for pool in pools:
            seeds = sorted(found["nascreen"].get(pool, {}).keys() & found[method].get(pool, {}).keys())
            if seeds:
                pairs.append(np.array([[found[m][pool][s] for s in seeds] for m in ("nascreen", method)]))
        draws = [_log_ratio([p[:, rng.integers(0, p.shape[1], p.shape[1])] for p in pairs]) for _ in range(500)]
        print(f"  {method:26s}{math.exp(_log_ratio(pairs)):6.3f} ± {math.exp(_log_ratio(pairs)) * np.std(draws):.3f}")


def _show_acceleration(found: dict[str, dict[str, dict[int, float]]], sizes: dict[str, int]) -> None:
    """Print how many evaluations random search needs for the share that each method found.

    Of n rows, k drawn at random hold a share of k / n of the best on average, so that no run is needed.
    """
    print(f"\nevaluations that random search needs for the share found in {BUDGET}, and how many times as many")
    for method in [m for m in METHODS if m in found]:
        needed = {p: sizes[p] * float(np.mean(list(found[method][p].values()))) for p in sizes if found[method].get(p)}
        cells = "".join(f"{needed[p]:13.0f}" if p in needed else f"{'-':>13s}" for p in sizes)
        factor = math.exp(np.mean(np.log(np.maximum(list(needed.values()), 1) / BUDGET)))
        print(f"  {method:26s}{cells}  {factor:6.2f} x, geometric mean of {len(needed)} pools")


def _log_ratio(pairs: Sequence[Array]) -> float:
    floor = 0.005
    return float(np.mean([np.log(max(p[0].mean(), floor)) - np.log(max(p[1].mean(), floor)) for p in pairs]))


def _show_evaluations(rows: Sequence[dict[str, str]], pools: Sequence[str]) -> None:
    """Print the median evaluations, where a run that did not get there counts as more than the budget."""
    for column, title in (
        ("n_first", "the first of the top 5 %"),
        ("n_80", "80 % of the top 5 %"),
        ("n_best", "the best"),
    ):
        print(f"\nmedian evaluations to {title} (- where most runs did not get there in {BUDGET})")
        for method in [m for m in METHODS if any(r["method"] == m for r in rows)]:
            cells = []
            for pool in pools:
                each = [float(r[column] or "inf") for r in rows if r["method"] == method and r["pool"] == pool]
                middle = float(np.median(each)) if each else math.inf
                cells.append("-" if math.isinf(middle) else f"{middle:g}")
            print(f"  {method:26s}" + "".join(f"{c:>13s}" for c in cells))


# ---------------------------------------------------------------- warm start


def literature_prior(pool: Pool) -> Array:
    """Return what a forest foretells of each candidate from papers that say nothing of it, in decades, shape (n,).

    The survey at 300 °C is foretold from the literature at room temperature; a pool of many papers in ten parts, so
    that no paper is on both sides.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    def taught(values: Array, targets: Array) -> ExtraTreesRegressor:
        return ExtraTreesRegressor(200, min_samples_leaf=2, random_state=0).fit(values, targets)

    n = len(pool.targets)
    if pool.name == "nasicon_survey":
        others = [s for s in _rows("literature", 15, 35) if not s.paper_id.startswith(SURVEY)]
        both = encode({"formula": [*pool.formulas, *(s.formula for s in others)]})
        values = np.asarray(both.values)
        known = np.array([math.log10(s.conductivity_s_cm or 1) for s in others])
        return np.asarray(taught(values[n:], known).predict(values[:n]))
    values = np.asarray(pool.inputs.values)
    part = np.random.default_rng(0).permutation(pool.papers.max() + 1)[pool.papers] % 10
    out = np.empty(n)
    for fold in range(10):
        is_out = part == fold
        out[is_out] = taught(values[~is_out], pool.targets[~is_out]).predict(values[is_out])
    return out


def warm(seeds: int, names: Sequence[str]) -> None:
    """Print the evaluations to the first of the top 5 %, with and without a prior mean.

    Each seed leaves out another fifth of the candidates, begins with one of the others at random, not a good one, and
    shuffles the prior in another way.
    """
    print("pool,prior,correlation,mean_evaluations,standard_error,ratio_to_none,standard_error_of_ratio")
    for pool in [p for p in measured_pools() if p.name in (names or WARM)]:
        prior = literature_prior(pool)
        without = np.empty(0)
        for name in ("none", "literature", "reversed", "shuffled"):
            priors = [_prior(name, prior, seed) for seed in range(seeds)]
            each = np.array([_n_to_first(pool, means, seed) for seed, means in enumerate(priors)], dtype=np.float64)
            without = each if name == "none" else without
            fits = [np.corrcoef(means, pool.targets)[0, 1] for means in priors if means is not None]
            error = each.std() / math.sqrt(seeds)
            ratio = each.mean() / without.mean()
            spread = ratio * np.std(each / each.mean() - without / without.mean()) / math.sqrt(seeds)
            text = f"{each.mean():.2f},{error:.2f},{ratio:.2f},{spread:.2f}"
            print(f"{pool.name},{name},{f'{np.mean(fits):.2f}' if fits else ''},{text}", flush=True)


def _prior(name: str, prior: Array, seed: int) -> Array | None:
    """Return a prior mean by its name; None for none."""
    if name == "none":
        return None
    if name == "reversed":
        return np.asarray(2 * prior.mean() - prior)
    return np.random.default_rng(seed).permutation(prior) if name == "shuffled" else prior


def _n_to_first(pool: Pool, prior: Array | None, seed: int, most: int = 60) -> int:
    """Return the evaluations after a random one to the first of the top 5 %; ``most`` where there was none."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(pool.targets))[: int(0.8 * len(pool.targets))]
    values, targets = np.asarray(pool.inputs.values)[rows], pool.targets[rows]
    top = set(np.argsort(-targets, kind="stable")[: math.ceil(TOP_SHARE * len(rows))].tolist())
    means = None if prior is None else prior[rows, None]
    told = [int(rng.choice([row for row in range(len(rows)) if row not in top]))]
    while len(told) <= most and told[-1] not in top:
        known = np.array(told, dtype=np.intp)
        problem = Problem(
            replace(pool.inputs, values=values),
            (Objective("y"),),
            ("y",),
            known,
            targets[known, None],
            prior_mean=means,
        )
        told.append(propose(problem, 1, seed=seed).suggestions[0].index)
    return len(told) - 1


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show", "warm"])
    parser.add_argument("path", nargs="?", type=Path, default=Path(__file__).with_name("results.csv"))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["nascreen", "random"])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--table", action="append", default=[], help="a table of numbers instead of the shipped pools")
    parser.add_argument("--pools", nargs="+", default=[], help="only these pools")
    chosen = parser.parse_args(arguments)
    if chosen.what == "show":
        show(chosen.path)
    elif chosen.what == "warm":
        warm(chosen.seeds, chosen.pools)
    else:
        pools = [table_pool(t) for t in chosen.table] or list(measured_pools())
        wanted = [p for p in pools if not chosen.pools or p.name in chosen.pools]
        run(chosen.path, chosen.methods, chosen.seeds, wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
