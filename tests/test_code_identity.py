"""A fingerprint changes with what the code computes, and with nothing else."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import code_identity
from pipeline.code_identity import (
    code_hash,
    file_hash,
    files_behind,
    imported,
    library_versions,
    meaning_hash,
)
from pipeline.same_results import SAME_FILES, SAME_RESULTS

CODE = '''\
"""Docstring."""

import math
from pipeline.helper import half


def scale(values: list[float], factor: float = 2.0) -> float:
    """Docstring."""
    total = 0.0
    for value in values:  # comment
        total += value * factor
    if total < 0:
        raise ValueError(f"found {total}, expected more")
    return half(math.sqrt(total))
'''
PACKAGE = Path(code_identity.__file__).parent
HELPER = "def half(x):\n    return x / 2\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package called `pipeline` of its own, and a function that hashes one of its modules."""
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(code_identity, "_ROOT", tmp_path)
    monkeypatch.setattr(code_identity, "_PACKAGE", folder)

    def hashed(code: str, helper: str = HELPER, name: str = "core") -> str:
        for old in folder.glob("*.py"):
            old.unlink()
        (folder / f"{name}.py").write_text(code)
        (folder / "helper.py").write_text(helper)
        imported.cache_clear()
        files = files_behind(folder / f"{name}.py")
        return str(sorted(code_identity._meaning(path) for path in files))

    yield hashed
    imported.cache_clear()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Docstring."""', '"""Another."""'),
        ("  # comment", "  # a comment that was reread"),
        ("total", "running_sum"),
        ("values: list[float], factor: float", "values, factor"),
        ("found {total}, expected more", "{total} is too little"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
    ],
)
def test_what_cannot_change_a_number_leaves_the_hash_alone(package, old, new):
    assert old in CODE
    assert package(CODE.replace(old, new)) == package(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.0", "3.0"),
        ("value * factor", "factor * value"),
        ("math.sqrt", "math.exp"),
        ("raise ValueError", "return 0 or ValueError"),
        ("import math", "import cmath as math"),
        ("total = 0.0", "total = value = 0.0"),
    ],
)
def test_what_can_change_a_number_changes_the_hash(package, old, new):
    assert old in CODE
    assert package(CODE.replace(old, new)) != package(CODE)


def test_an_imported_module_counts_wherever_it_lies_and_an_unrelated_one_does_not(package):
    first = package(CODE)
    assert package(CODE, HELPER.replace("2", "3")) != first
    assert package(CODE, HELPER.replace("x", "number")) == first
    assert package(CODE, name="moved") == first


def test_the_models_of_params_yaml_decide_nothing_because_their_values_do(package):
    section = "\n\nclass Params(Section):\n    hidden: int = {}\n"
    assert package(CODE + section.format(1)) == package(CODE + section.format(2))


def test_only_files_of_the_project_that_decide_are_followed():
    from pipeline.frames import extract

    names = {path.name for path in files_behind(Path(str(extract.__file__)))}
    assert {"extract.py", "decode.py", "timebase.py"} <= names
    assert not {"errors.py", "atomic.py", "progress.py", "__init__.py"} & names


def test_the_hash_of_the_real_code_is_the_same_in_a_copy_elsewhere(tmp_path):
    """So that a cluster and a queue's copy of the repository find each other's results."""
    import shutil
    import subprocess

    module = importlib.import_module("pipeline.timebase")
    shutil.copytree(Path(str(module.__file__)).parent, tmp_path / "pipeline")
    program = (
        "from pipeline import timebase; from pipeline.code_identity import code_hash; "
        "print(timebase.__file__, code_hash(timebase))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert Path(found[0]).is_relative_to(tmp_path)
    assert found[1] == code_hash(module)


def test_patch_releases_of_a_library_do_not_count():
    assert all(version.count(".") == 1 for version in library_versions("numpy", "torch").values())


def test_a_file_that_gives_the_results_of_an_earlier_one_counts_as_that_one(package, monkeypatch):
    def whole() -> str:
        root = ModuleType("core")
        root.__file__ = str(code_identity._PACKAGE / "core.py")
        meaning_hash.cache_clear()
        return meaning_hash(root)

    package(CODE)
    before = whole()
    earlier = file_hash(code_identity._PACKAGE / "core.py")
    package(CODE.replace("2.0", "3.0") + "\nimport pipeline.part\n")
    (code_identity._PACKAGE / "part.py").write_text("a = 1\n")
    imported.cache_clear()
    assert whole() != before
    core, part = (file_hash(code_identity._PACKAGE / f"{name}.py") for name in ("core", "part"))
    monkeypatch.setattr(code_identity, "SAME_FILES", {core: earlier, part: None})
    assert whole() == before
    (code_identity._PACKAGE / "part.py").write_text("a = 2\n")
    assert whole() != before


def test_no_line_of_same_results_is_stale():
    from pipeline.backbone import adabn, loop, task
    from pipeline.features import identity
    from pipeline.networks.backbones import efficientnet, resnet
    from pipeline.networks.temporal import KINDS
    from pipeline.train import loop as train_loop

    families = (resnet, efficientnet)
    current = {
        meaning_hash(*roots, family)
        for roots in (identity.CODE, (loop, task), (adabn,))
        for family in families
    }
    current |= {meaning_hash(train_loop, kind) for kind in KINDS.values()}
    current |= {file_hash(path) for path in PACKAGE.rglob("*.py")}
    stale = {*SAME_RESULTS, *SAME_FILES} - current
    assert not stale, (
        "the code behind these lines of pipeline/same_results.py has changed again: replace the "
        f"hash if its results stay the same (docs/contributing.md), or remove the line: {stale}"
    )
