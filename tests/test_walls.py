"""The walls between rooms: who may import whom, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "qdist").rglob("*.py")) + sorted((ROOT / "kernels" / "qdist_kernels").rglob("*.py"))
ALLOWED = {
    "kernels": {"kernels"},
    "errors": {"errors", "kernels"},
    "physics": {"physics", "errors", "kernels"},
    "machine": {"machine", "physics", "errors", "kernels"},
    "network": {"network", "machine", "physics", "errors", "kernels"},
    "runs": {"runs", "network", "machine", "physics", "errors", "kernels"},
}
SETTINGS = "kernels/qdist_kernels/settings.py"
"""The file that reads the environment for kernels."""
BUILDS = "kernels/qdist_kernels/build.py"
"""The file that calls a compiler, on sources of this package."""
ONLY_IN = {
    "subprocess": {BUILDS},
    "h5py": {"qdist/runs/results.py", "qdist/runs/checkpoints/files.py"},
    "mpi4py": {"qdist/machine/comm.py"},
    "matplotlib": {"qdist/runs/views/plot.py"},
    "xarray": {"qdist/runs/opening.py"},
    "typer": {"qdist/runs/cli.py"},
    "tqdm": {"qdist/runs/progress.py"},
    "openqasm3": {"qdist/network/circuits/"},
}


def imports(path, *, top_level=False):
    """Dotted names that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(dotted):
    """The room of a dotted name inside the project, or None."""
    parts = dotted.split(".")
    if parts[0] == "qdist_kernels":
        return "kernels"
    if parts[0] == "qdist" and len(parts) > 1:
        return parts[1]
    return None


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_rooms_below_it(path):
    relative = path.relative_to(ROOT).with_suffix("").parts
    here = "kernels" if relative[0] == "kernels" else relative[1]
    if here in ("__init__", "__main__", "version"):
        pytest.skip("the package's front door lists public names of all rooms")
    used = {room(name) for name in imports(path)} - {None, "version"}
    assert used <= ALLOWED[here], f"{here} must not import from {sorted(used - ALLOWED[here])}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_outside_libraries_stay_in_their_rooms(path):
    name = path.relative_to(ROOT).as_posix()
    for library, places in ONLY_IN.items():
        if any(found.split(".")[0] == library for found in imports(path)):
            assert any(name.startswith(place) for place in places), f"{library} belongs in {sorted(places)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_imports_jax_when_it_is_imported(path):
    assert not any(name.split(".")[0] in ("jax", "jaxlib") for name in imports(path, top_level=True))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_command_line_prints_or_reads_the_environment(path):
    if path.name in ("cli.py", "__main__.py") or path.relative_to(ROOT).as_posix() == SETTINGS:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    attributes = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert "print" not in called
    assert not attributes & {"sys.argv", "os.environ", "sys.stdout"}


def test_nothing_from_a_file_is_ever_executed():
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not called & {"eval", "exec", "compile", "__import__"}, path
        assert not {name.split(".")[0] for name in imports(path)} & {"pickle", "marshal", "shelve"}, path
