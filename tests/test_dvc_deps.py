"""DVC does not follow imports, so dvc.yaml lists the modules of each stage; here is the proof."""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.code_identity import files_behind, imported
from pipeline.networks.temporal import KINDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
STAGES = ("index", "frames", "backbone", "features", "train", "evaluate")
# Below the rooms, from top to bottom: each may import those behind it.
ON_TOP = {"cli", "cli_models", "__main__", "all_params", "doctor"}
LAYERS = (
    "drawing",
    "metrics",
    "feature_space",
    "postprocess",
    "training",
    "saliency",
    "networks",
    "executors",
)
COMMANDS = (
    "bundle",
    "compare",
    "compress",
    "efficiency",
    "explain",
    "export",
    "import_features",
    "leaderboard",
    "overlay",
    "predict",
    "probe",
    "recipes",
    "report",
    "score",
    "stream",
    "tune",
    "view",
)


def files_of(folder: str) -> set[Path]:
    return {path for path in (PACKAGE / folder).rglob("*.py") if path.name != "__init__.py"}


def listed(stage: str, kind: str) -> set[Path]:
    """The modules that dvc.yaml names for a stage when this kind of temporal network is chosen."""
    files: set[Path] = set()
    for dep in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]:
        path = ROOT / dep.replace("${model.kind}", kind)
        if not path.is_relative_to(PACKAGE):
            continue
        assert path.exists(), f"{stage}: {dep} is not there"
        files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return {path for path in files if path.name != "__init__.py"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_depends_on_exactly_the_modules_it_imports(stage, kind):
    roots = files_of(stage)
    uses_kinds = any("networks.temporal.params" in file.read_text() for file in roots)
    if uses_kinds:  # the registry names kinds without being followed
        roots |= {PACKAGE / "networks/temporal" / f"{kind}.py"}
        roots |= files_of("networks/temporal/blocks")  # a folder for all kinds, whichever uses it
    if any("networks.backbones" in file.read_text() for file in files_behind(*roots)):
        roots |= files_of("networks/backbones")
    if stage == "index":  # its registry names layouts
        roots |= files_of("index/layouts")
    names = {str(file.relative_to(ROOT)) for file in files_behind(*roots)}
    assert names == {str(file.relative_to(ROOT)) for file in listed(stage, kind)}


def test_a_train_stage_does_not_depend_on_the_other_kinds():
    for stage in ("train", "evaluate"):
        for kind in KINDS:
            others = {PACKAGE / "networks/temporal" / f"{k}.py" for k in KINDS if k != kind}
            assert not others & listed(stage, kind)


@pytest.mark.parametrize("room", [*STAGES, "demo"])
def test_rooms_meet_through_files_and_never_import_each_other(room):
    others = {PACKAGE / name for name in (*STAGES, "demo", *COMMANDS)} - {PACKAGE / room}
    for file in files_of(room):
        for target in imported(file):
            assert not any(target.is_relative_to(other) for other in others), f"{file} -> {target}"
            assert target.stem not in ON_TOP, f"{file}: upwards"


@pytest.mark.parametrize("layer", LAYERS)
def test_what_rooms_share_imports_downwards_only(layer):
    above = {PACKAGE / name for name in (*STAGES, "demo", *COMMANDS)}
    above |= {PACKAGE / name for name in LAYERS[: LAYERS.index(layer)]}
    for file in files_of(layer):
        for target in imported(file):
            assert not any(target.is_relative_to(other) for other in above), f"{file} -> {target}"


def test_the_vocabulary_imports_nothing_above_it():
    for file in PACKAGE.glob("*.py"):
        if file.stem in ON_TOP or file.name == "__init__.py":
            continue
        for target in imported(file):
            assert target.parent == PACKAGE, f"{file} -> {target}"


def test_no_parameter_bears_a_name_that_the_run_cache_forgets():
    def keys(node: object) -> set[str]:
        if not isinstance(node, dict):
            return set()
        return {*node, *(key for value in node.values() for key in keys(value))}

    assert not {"size", "nfiles"} & keys(yaml.safe_load((ROOT / "params.yaml").read_text()))


def test_every_template_of_dvc_yaml_names_a_parameter():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in re.findall(r"\$\{([^}]+)\}", (ROOT / "dvc.yaml").read_text()):
        node = params
        for part in key.split("."):
            assert part in node, key
            node = node[part]
