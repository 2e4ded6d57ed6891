"""DVC does not follow imports, so dvc.yaml lists the modules of each stage; here is the proof."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
STAGES = ("index", "frames", "backbone", "features", "train", "evaluate")
# What says where to run, shows progress, words an error or moves whole files decides no result;
# what settings.py reads is tracked as parameters.
NO_RESULT = {
    *("allocator.py", "atomic.py", "errors.py", "progress.py", "result_store.py", "runtime.py"),
    *("settings.py", "__init__.py", "networks/__init__.py"),
}


def imported(file: Path) -> set[Path]:
    """The files of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] != "pipeline":
                continue
            path = ROOT.joinpath(*name.split("."))
            found |= {p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()}
    return found


def closure(start: set[Path]) -> set[Path]:
    seen: set[Path] = set()
    todo = set(start)
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo |= imported(file)
    return seen


def files_of(stage: str) -> set[Path]:
    return set((PACKAGE / stage).rglob("*.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_depends_on_exactly_the_modules_it_imports(stage):
    listed: set[Path] = set()
    for dep in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]:
        path = ROOT / dep
        if path.is_relative_to(PACKAGE):
            listed |= set(path.rglob("*.py")) if path.is_dir() else {path}
    needed = closure(files_of(stage)) - {PACKAGE / name for name in NO_RESULT}
    names = {str(file.relative_to(ROOT)) for file in needed}
    assert names == {str(file.relative_to(ROOT)) for file in listed}


@pytest.mark.parametrize("room", [*STAGES, "demo"])
def test_rooms_meet_through_files_and_never_import_each_other(room):
    others = {PACKAGE / name for name in (*STAGES, "demo")} - {PACKAGE / room}
    for file in files_of(room):
        for target in imported(file):
            assert not any(target.is_relative_to(other) for other in others), f"{file} -> {target}"
            assert target.name not in ("cli.py", "doctor.py", "all_params.py"), f"{file}: upwards"
            assert target.parent.name not in ("compare", "score"), f"{file}: upwards"


def test_no_parameter_bears_a_name_that_the_run_cache_forgets():
    def keys(node: object) -> set[str]:
        if not isinstance(node, dict):
            return set()
        return {*node, *(key for value in node.values() for key in keys(value))}

    assert not {"size", "nfiles"} & keys(yaml.safe_load((ROOT / "params.yaml").read_text()))
