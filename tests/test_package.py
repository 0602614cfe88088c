"""Promises of the package: one direction of imports, a light start, no code in data, and a README that works."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import nascreen
from nascreen.datasets import data_folder, model_folder

PACKAGE = Path(nascreen.__file__).parent
ORDER = (
    "errors", "chemistry", "elements", "physics", "records", "history", "database", "store", "backups",
    "spreadsheets", "units", "datasets", "lab", "schema", "loaders", "verdicts", "quality", "replicates", "founding",
    "overview", "bibliography", "gaussian", "intervals", "features", "many_features", "encoding", "surrogate", "trees",
    "proposals", "acquisition", "beliefs", "optimizer", "recipes", "models", "graphs", "packed_trees", "bulk", "tables",
    "training", "shifts", "cards", "export", "tracking", "tuning", "descriptors", "learners", "columns", "tabular",
    "spaces", "lattices", "listed", "array_features", "stability", "screening", "explain", "stream", "filters",
    "queries", "catalogue", "plots", "campaign", "pools", "optuna_engine", "goals", "optuna_export", "outcomes",
    "campaigns", "campaign_files", "campaign_figures", "wording", "figures", "data_figures", "report", "pipeline",
    "quality_report", "access", "wire", "wire_data", "wire_rank", "wire_campaign", "problems", "serving",
    "gatekeeper", "answers", "kept_screens", "routes", "routes_predict", "ranking", "routes_rank", "routes_data",
    "structures", "routes_optimade", "own_rows", "routes_candidates", "campaign_answers", "routes_campaign", "page",
    "service", "client", "cli_serve", "cli_lab", "cli_campaign", "cli_data", "cli_screen", "cli_explain", "cli",
)  # fmt: skip
EXCEPTED = "mlflow_model"
"""MLflow runs this file by its path; of the package only `tracking` names it."""

MODULES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.glob("*.py"))}
HEAVY = {"sklearn", "xgboost", "pandas", "matminer", "mlflow", "pymatgen", "optuna", "onnx", "skl2onnx", "onnxmltools",
         "plotly", "torch"}  # fmt: skip
SERIALIZERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "skops"}
README = PACKAGE.parent / "README.md"


def _imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every module that is imported anywhere in a tree, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            name = node.module or ""
            yield from ((f"{name}.{alias.name}" if name == "nascreen" else name, node.lineno) for alias in node.names)


def _siblings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for name, line in _imported(tree):
        package, _, module = name.partition(".")
        if package == "nascreen" and module in MODULES:
            yield module, line


def _module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    return (node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))


def test_every_module_has_its_place_in_the_order() -> None:
    assert set(ORDER) == MODULES.keys() - {"__init__", EXCEPTED}


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_above_it(name: str) -> None:
    above = {*ORDER[: ORDER.index(name)], *([EXCEPTED] if name == "tracking" else [])}
    wrong = [f"{name}.py:{line} imports {module}" for module, line in _siblings(MODULES[name]) if module not in above]
    assert wrong == []


def test_the_package_itself_imports_nothing_until_a_campaign_is_named() -> None:
    tree = MODULES["__init__"]
    assert list(_module_level(tree)) == []
    assert {name for name, _ in _imported(tree)} == {"nascreen.campaigns"}


@pytest.mark.parametrize("name", [*ORDER, "__init__"])
def test_heavy_libraries_are_imported_only_where_they_are_used(name: str) -> None:
    tops = {top for node in _module_level(MODULES[name]) for top, _ in _imported(node)}
    assert not {top.partition(".")[0] for top in tops} & HEAVY


@pytest.mark.parametrize("name", ORDER[: ORDER.index("training")])
def test_what_prediction_needs_names_no_training_library(name: str) -> None:
    assert not {top.partition(".")[0] for top, _ in _imported(MODULES[name])} & HEAVY


def test_importing_the_package_is_light() -> None:
    code = "import sys; before = set(sys.modules); import nascreen; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["nascreen"]


def test_importing_the_command_loads_neither_numpy_nor_a_model() -> None:
    code = "import sys, nascreen.cli; print(*sorted({'numpy', 'scipy', 'onnxruntime', 'rich'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert not {"numpy", "scipy", "onnxruntime"} & set(done.stdout.split())


@pytest.mark.parametrize("name", MODULES)
def test_no_module_can_run_code_from_data(name: str) -> None:
    tree = MODULES[name]
    found = [f"{module} in line {line}" for module, line in _imported(tree) if module.partition(".")[0] in SERIALIZERS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"eval", "exec", "compile", "__import__"}:
                found.append(f"{node.func.id} in line {node.lineno}")
        elif isinstance(node, ast.Constant) and node.value in SERIALIZERS:
            found.append(f"{node.value!r} in line {node.lineno}")
        elif isinstance(node, ast.Attribute) and re.search(r"pickle|joblib", node.attr):
            found.append(f"{node.attr} in line {node.lineno}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            found += [] if value is False else [f"allow_pickle in line {node.value.lineno}"]
    assert found == []


@pytest.mark.parametrize("name", MODULES)
def test_no_file_is_read_or_written_in_the_encoding_of_the_machine(name: str) -> None:
    texts = {"read_text", "write_text"}
    bare = [
        f"{node.func.attr} in line {node.lineno}"
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in texts
        and "encoding" not in {keyword.arg for keyword in node.keywords}
    ]  # fmt: skip
    assert bare == []


def test_no_model_or_table_that_ships_holds_code() -> None:
    suffixes = {path.suffix for path in model_folder().rglob("*") if path.is_file()}
    assert suffixes <= {".onnx", ".npz", ".json", ".md", ".svg"}
    tables = {path.suffix for path in data_folder().rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert tables <= {".csv", ".json", ".txt", ".md", ".py"}


def _public(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{node.name}.")


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_says_what_it_does(name: str) -> None:
    tree = MODULES[name]
    assert ast.get_docstring(tree)
    silent = [
        title
        for title, node in _public(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_version_is_plain() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", nascreen.__version__)


# ---------------------------------------------------------------- the README


def _blocks(kinds: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```(?:{kinds})[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def _commands() -> list[str]:
    """Return the commands of the README that need no training, in order; ``$`` marks them where answers are shown."""
    found = []
    for block in _blocks("console|sh|shell|bash"):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            command = line.removeprefix("$ ").strip()
            if re.match(r"nascreen (predict|rank|screen|data|explain|campaign|token)\b", command):
                found.append(command)
    return found


def _supply(command: str, folder: Path) -> None:
    """Put in place what a command reads: the shipped tables, and the README's own CSV block as own results."""
    for name in ("datasets", "models"):
        if not (folder / name).exists():
            (folder / name).symlink_to(PACKAGE.parent / name, target_is_directory=True)
    words = shlex.split(command, comments=True)
    if "--csv" in words:
        table = "formula,phase,sinter_temp_c\nNa3Zr2Si2PO12,crystalline,1200\nNa3BS3,glass,\n"
        (folder / words[words.index("--csv") + 1]).write_text(table, encoding="utf-8")
    if words[1:3] == ["data", "add"]:
        (folder / words[3]).write_text(_blocks("csv")[0], encoding="utf-8")
    if words[1:3] == ["campaign", "new"]:
        (folder / words[3]).write_text(_blocks("toml")[0], encoding="utf-8")


def test_the_readme_shows_at_least_one_command() -> None:
    assert _commands()


def test_the_commands_of_the_readme_run_in_order(tmp_path: Path) -> None:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    commands = _commands()
    assert commands
    for command in commands:
        _supply(command, tmp_path)
        done = subprocess.run(
            command, shell=True, cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONUTF8": "1", "NASCREEN_HOME": str(tmp_path / "home")},
            capture_output=True, encoding="utf-8", check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout
