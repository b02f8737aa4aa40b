"""Imports go one way, heavy libraries stay in their rooms, and what is promised in text exists."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "indexers", "labelers", "classifiers", "benchmarks")

# Who may import whom, inside the project. A room may always import itself. Every module of `engine` that is in no
# other room is a verb.
BASE = {"engine.errors"}
SHELVES = {"engine.store", "engine.sources", "engine.encoders", "engine.pictures", "engine.decode"}
LEAVES = {"indexers", "labelers", "classifiers"}
BELOW_VERBS = BASE | SHELVES | LEAVES
MAY_IMPORT = {
    "engine.cli": {"engine", "benchmarks", "verbs", *BELOW_VERBS},
    "benchmarks": {"engine", "verbs", *BELOW_VERBS},
    "engine": {"verbs"},
    "verbs": {"engine", *BELOW_VERBS},
    "engine.store": BASE,
    "engine.sources": BASE,
    "engine.encoders": BASE,
    "engine.pictures": BASE,
    "engine.decode": BASE,
    "engine.errors": set(),
    "labelers": {"indexers"},
    "classifiers": {"indexers"},
    "indexers": set(),
}
# Which rooms may import a library that is slow to load or that one room hides from the others.
ONLY_IN = {
    "lance": {"engine.store"},
    "lancedb": {"engine.store", "benchmarks"},
    "torch": {"engine.encoders", "classifiers", "benchmarks"},
    "torchvision": {"engine.encoders", "classifiers", "benchmarks"},
    "timm": {"engine.encoders", "benchmarks"},
    "open_clip": {"engine.encoders", "benchmarks"},
    "openvino": {"engine.encoders", "benchmarks"},
    "faiss": {"indexers", "benchmarks"},
}
LAZY = ("torch", "lance", "lancedb", "faiss", "numpy")
REFERENCE = re.compile(r"[a-z_][\w.]*:[A-Z]\w*")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def room(module: str) -> str:
    if module == "engine.__main__":
        return "engine.cli"
    for name in MAY_IMPORT:
        if name != "engine" and (module == name or module.startswith(name + ".")):
            return name
    return "engine" if module == "engine" else "verbs"


def imported(source: str, *, package: str) -> set[str]:
    """Return the dotted names that `source`, a module of `package`, imports anywhere, inside functions too.

    `from a import b` gives a.b where that is a module of ours, else a.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            longer = {f"{base}.{alias.name}" for alias in node.names}
            names.update({name if name in MODULES else base for name in longer})
    return names


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return imported(path.read_text(encoding="utf-8"), package=package)


def registries() -> Iterator[tuple[str, str, str, str]]:
    """Yield (module, registry, key, reference) for every literal dict of "module:Class" values."""
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Dict):
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            entries = zip(node.value.keys, node.value.values, strict=True)
            pairs = [(ast.unparse(k), v.value) for k, v in entries if k and isinstance(v, ast.Constant)]
            references = [(key, value) for key, value in pairs if REFERENCE.fullmatch(str(value))]
            if references and len(references) == len(node.value.values):
                yield from ((module, ast.unparse(target), key, value) for key, value in references)


def test_the_import_reader_sees_every_form():
    source = """
import torch.nn
from engine import errors, open
from . import durable
from .table import Table
from ..sources.base import Member
def late():
    from engine.store import Store
    import lance
"""
    assert imported(source, package="engine.store") == {
        "torch.nn",
        "engine.errors",
        "engine",
        "engine.store.durable",
        "engine.store.table",
        "engine.sources.base",
        "engine.store",
        "lance",
    }


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_one_way(module):
    here = room(module)
    ours = {name for name in imports_of(module) if name.split(".")[0] in PACKAGES}
    wrong = {name for name in ours if room(name) not in {here, *MAY_IMPORT[here]}}
    assert not wrong, f"{module} ({here}) must not import {sorted(wrong)}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_libraries_stay_in_their_rooms(module):
    here = room(module)
    libraries = {name.split(".")[0] for name in imports_of(module)}
    wrong = {name for name in libraries & ONLY_IN.keys() if here not in ONLY_IN[name]}
    assert not wrong, f"{module} must not import {sorted(wrong)}"


def test_importing_engine_loads_no_library():
    code = f"import sys, engine; print([name for name in {LAZY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", sorted(name for name in MODULES if name.split(".")[0] in ("engine", "indexers", "labelers"))
)
def test_what_is_public_has_a_docstring(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert not silent, f"{module}: {silent}"
    assert ast.get_docstring(tree), f"{module} does not say what it is"


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "misc", "common"}
    assert not [name for name in MODULES if name.rpartition(".")[2] in drawers]


@pytest.mark.parametrize(("module", "registry", "key", "reference"), list(registries()))
def test_registries_name_classes_that_exist(module, registry, key, reference):
    place, _, name = reference.partition(":")
    assert isinstance(getattr(importlib.import_module(place), name), type), f"{module}.{registry}[{key}]"


def test_registries_are_found():
    found = {f"{module}.{registry}" for module, registry, _, _ in registries()}
    assert {"engine.encoders.ENCODERS", "engine.sources.SOURCES", "indexers.INDEXES"} <= found
