"""The project's frame: what it depends on, how fast it imports, and what may stand in the repository."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import places
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import facekit

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = sorted((ROOT / "facekit").rglob("*.py"))

TOP_LEVEL = {
    *("facekit", "notebooks", "apps", "docs", "tests"),
    *("environment.yml", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
}

# What `import facekit` must leave alone: each of these takes between 0.05 and several seconds.
HEAVY = {
    *("PIL", "anywidget", "cv2", "deepface", "duckdb", "ipywidgets", "jinja2", "loky", "matplotlib", "numpy"),
    *("onnx", "onnxruntime", "pandas", "pillow_heif", "plotly", "pyarrow", "pymilvus", "retinaface", "rich"),
    *("scipy", "skimage", "sklearn", "sqlalchemy", "tensorflow", "typer", "umap"),
}

# Rooms that have an extra's packages, or look whether one is there.
ROOMS_OF_EXTRAS = {"server", "webapp", "widgets", "demo", "measure", "models", "clustering", "workers"}

# Modules elsewhere that do so.
MODULES_OF_EXTRAS = {
    *("catalog/postgresql.py", "cli/users.py", "images/blobs.py", "storage/broker.py"),
    *("sources/signing_in/oauth.py", "sources/signing_in/token_key.py", "sources/signing_in/vault.py"),
    *("sources/storage/address.py", "sources/storage/files.py"),
}

# Packages that are imported under another name than they are installed.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "argon2": "argon2-cffi",
    "cv2": "opencv-contrib-python-headless",
    "faiss": "faiss-cpu",
    "grpc": "grpcio",
    "jwt": "pyjwt",
    "pillow_heif": "pillow-heif",
    "retinaface": "retina-face",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
}


def repository_files() -> list[Path]:
    """Every file that is tracked, or would be with the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def requirements(*extras: str) -> set[str]:
    """The core's requirements and those of some extras; an extra that names other extras stands for them."""
    found = set(PROJECT["dependencies"])
    for extra in extras:
        for line in PROJECT["optional-dependencies"][extra]:
            requirement = Requirement(line)
            found |= requirements(*requirement.extras) if requirement.name == "facekit" else {line}
    return found


def shell_blocks(markdown: str) -> list[list[str]]:
    """The commands of each fenced shell block, without prompts, comments and ``&&``."""
    blocks = re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    lines = [[re.sub(r"^\$ |(^|\s)#.*$", "", line).strip() for line in block.splitlines()] for block in blocks]
    return [[part.strip() for line in block for part in line.split("&&") if part.strip()] for block in lines]


def run_python(code: str) -> str:
    """Run code in a fresh interpreter that finds this checkout first."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout


def seconds(code: str) -> float:
    started = time.perf_counter()
    run_python(code)
    return time.perf_counter() - started


def test_import_loads_nothing_heavy() -> None:
    loaded = run_python("import facekit, sys; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert "facekit" in loaded
    assert not HEAVY & set(loaded)


def test_import_takes_less_than_three_tenths_of_a_second() -> None:
    # The promise is about this very duration. The best of seven runs, less the interpreter's own start, is steady:
    # an import that loads one heavy package fails it on any machine, a busy machine does not.
    best_bare = min(seconds("pass") for _ in range(7))
    best_import = min(seconds("import facekit") for _ in range(7))
    assert best_import - best_bare < 0.3


def test_version_is_the_same_everywhere() -> None:
    assert facekit.__version__ == PROJECT["version"]


def test_every_module_has_a_docstring() -> None:
    bare = [str(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert MODULES
    assert not bare


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    """About 400 lines, says CONTRIBUTING.md: a longer one is usually two."""
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


def packages_of(paths: Iterable[Path]) -> set[str]:
    """The packages that modules import, by the names under which they are installed."""
    imported = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"facekit"}
    assert "numpy" in foreign
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")).lower() for name in foreign}


def test_every_imported_package_is_declared() -> None:
    declared = {Requirement(line).name.lower() for line in requirements(*PROJECT["optional-dependencies"])}
    assert packages_of(MODULES) <= declared


def test_what_needs_no_extra_imports_packages_of_the_core_only() -> None:
    core = {Requirement(line).name.lower() for line in requirements()}
    rooms = {path for path in MODULES if path.relative_to(ROOT / "facekit").parts[0] not in ROOMS_OF_EXTRAS}
    assert packages_of(rooms - {ROOT / "facekit" / name for name in MODULES_OF_EXTRAS}) <= core


def test_one_opencv_only() -> None:
    # The four OpenCV packages write into the same folder: two of them break each other.
    names = {Requirement(line).name for line in requirements(*PROJECT["optional-dependencies"])}
    assert {name for name in names if "opencv" in name} == {"opencv-contrib-python-headless"}


def test_conda_environment_is_in_step_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, packages = environment["dependencies"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert pip == "pip"
    assert packages["pip"][0] == "-e ."
    assert set(packages["pip"][1:]) == requirements("all", "test")
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))


def test_ci_runs_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = [line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()]
    for purpose in ("pytest", "facekit demo"):
        blocks = [block for block in shell_blocks(readme) if any(command.endswith(purpose) for command in block)]
        assert blocks, f"README.md has no shell block that ends in {purpose}"
        commands = [command for command in blocks[0] if not command.startswith(("git clone", "cd "))]
        # For the tests CI makes the same environment with uv, which takes a fifth of the time.
        made = {"python3 -m venv .venv-test", '.venv-test/bin/pip install -e ".[test]"'}
        assert not [command for command in commands if command not in ci and command not in made]
    assert 'environment .venv-test -e ".[test,dev]"' in ci


def test_top_level_holds_only_what_belongs_there() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in repository_files()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_notebooks_carry_no_outputs() -> None:
    # Outputs show faces.
    for path in repository_files():
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            kept = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
            assert not kept, f"{path.name} carries outputs: run nbstripout on it"


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("pypi[.]org|python" + "hosted[.]|npm" + "js[.]|debian[.]org", id="registry"),
        pytest.param("(?<![\\w.~}>-])/" + "(work|opt|root|home|Users|farm)/", id="absolute path"),
    ],
)
def test_files_name_no_registry_and_no_machine(pattern: str) -> None:
    found = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in re.finditer(pattern, text)]
    assert not found


def test_the_files_whose_tests_run_on_servers_too_are_there() -> None:
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert {*places.SUITES, *places.ON_MILVUS, *places.IN_FOLDER} <= files
    assert places.ON_MILVUS.keys() | places.IN_FOLDER.keys() <= places.SUITES.keys()
