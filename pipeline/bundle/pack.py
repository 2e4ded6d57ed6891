"""From models/ and reports/ to one file that can be handed on."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.atomic import replacing
from pipeline.bundle.card import Card, model_card, parameter
from pipeline.bundle.confusions import known_answers, known_confusions, known_mistakes
from pipeline.bundle.contents import MANIFEST, MODELS, as_json, manifest_of
from pipeline.checkpoint import read_header
from pipeline.errors import PipelineError
from pipeline.evaluate.parameters import flat_parameters
from pipeline.paths import PARAMS
from pipeline.predict.loaded import read_models
from pipeline.result_store import file_hash
from pipeline.task import TaskParams

_CHUNK = 1 << 20
# Of every file: the oldest date that a zip archive can bear.
_DATE = (1980, 1, 1, 0, 0, 0)


def bundle(models: Path, output: Path, reports: Path, licence: str = "") -> str:
    """Write a bundle; the same models and reports give the same bytes.

    Args:
        models: Folder of the two model files.
        output: The bundle.
        reports: Folder of metrics.json, details.json and predictions, beside params.yaml; what is
            missing there the card calls not recorded.
        licence: Under which the bundle is handed on.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: The models are missing, do not belong together or cannot be used by
            themselves; or the report is another model's.
    """
    sources = {name: models / name for name in MODELS}
    found = read_models(models)
    backbone = read_header(sources["backbone.safetensors"])
    temporal, classes = found.header, found.recipe.classes
    details = _json(reports / "details.json").get("test", {})
    confusions = known_answers if found.of_videos else known_confusions
    if found.of_images:
        confusions = known_mistakes
    parameters = _parameters(backbone, temporal)
    card = Card(
        backbone=backbone,
        temporal=temporal,
        parameters=parameters,
        details=details,
        confusions=confusions(reports / "predictions", classes),
        layout=parameter("data.layout", reports.parent / PARAMS),
        scheme=parameter("split.scheme", reports.parent / PARAMS),
        licence=licence,
    )
    texts = {
        "README.md": model_card(card).encode(),
        "classes.json": as_json(list(classes)),
        "parameters.json": as_json(parameters),
    }
    if (reports / "metrics.json").is_file():
        texts["metrics.json"] = as_json(_json(reports / "metrics.json"))
    _write(output, sources, texts)
    note = "" if details else "; no figures in its card, since there is no report"
    return f"{output}: {output.stat().st_size / 1e6:.1f} MB{note}"


def _parameters(backbone: Mapping[str, Any], temporal: Mapping[str, Any]) -> dict[str, str]:
    """What decided the models, by dotted key."""
    tree = {
        key: temporal[key]
        for key in ("frames", "features", "kind", "model", "train", "seed")
        if key in temporal
    }
    if "task" in temporal:
        # Mean and standard deviation of a score are no parameters.
        tree["task"] = {k: v for k, v in temporal["task"].items() if k in TaskParams.model_fields}
    return flat_parameters(tree | {"backbone": backbone.get("params", {})})


def _write(output: Path, sources: Mapping[str, Path], texts: Mapping[str, bytes]) -> None:
    listed = {name: (path.stat().st_size, file_hash(path)) for name, path in sources.items()}
    listed |= {name: (len(t), hashlib.sha256(t).hexdigest()) for name, t in texts.items()}
    texts = {MANIFEST: manifest_of(listed), **texts}
    with replacing(output) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name in sorted(texts):
            archive.writestr(_entry(name, len(texts[name])), texts[name])
        for name, path in sources.items():
            entry = _entry(name, path.stat().st_size)
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    entry.file_size = size
    return entry


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PipelineError(f"{path}: not JSON ({error}). Run `dvc repro evaluate`.") from None
    return found if isinstance(found, dict) else {}
