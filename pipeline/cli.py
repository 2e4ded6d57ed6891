"""The command line: one command per stage, each a few lines over its room.

Rooms are imported by their commands, so that `--help` and `index` load no torch.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import PipelineError

app = typer.Typer(
    name="surgphase",
    help="Surgical video in, phases and a report out. `dvc repro` calls these commands in order; "
    "settings are in params.yaml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
store_app = typer.Typer(help="The store of finished frames and features.", no_args_is_help=True)
app.add_typer(store_app, name="store")


def _check_params() -> None:
    """All of params.yaml, before any stage: a typo in `train` must not wait for the features."""
    from pipeline.all_params import check_params

    check_params()


@app.command()
def index() -> None:
    """Read data.root and write the tables of videos, labels and splits."""
    _check_params()
    from pipeline.index.stage import run

    print(run())


@app.command()
def frames() -> None:
    """Sample frames from the videos into data/frames."""
    _check_params()
    from pipeline.frames.stage import run

    print(run())


@app.command()
def backbone() -> None:
    """Fetch, read or draw the CNN's weights into models/backbone.safetensors."""
    _check_params()
    from pipeline.backbone.stage import run

    print(run())


@app.command()
def features() -> None:
    """Run the CNN over the frames once, into features."""
    _check_params()
    from pipeline.features.stage import run

    print(run())


@app.command()
def train() -> None:
    """Train the temporal model on the features."""
    _check_params()
    from pipeline.train.stage import run

    print(run())


@app.command()
def evaluate() -> None:
    """Score the test videos and write the report."""
    _check_params()
    from pipeline.evaluate.stage import run

    print(run())


@app.command()
def report() -> None:
    """Show the headline figures and where the report is."""
    import json

    from pipeline.evaluate.headline import as_text, headline

    metrics = Path("reports/metrics.json")
    if not metrics.is_file():
        raise PipelineError(f"{metrics}: not found. Run `dvc repro` first.")
    print(as_text(headline(json.loads(metrics.read_text(encoding="utf-8")))))
    print(f"\nReport: {Path('reports/index.html').resolve()}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the operations go.")] = Path(
        "data/demo/operations"
    ),
) -> None:
    """Render the demo operations."""
    from pipeline.demo.render import render_demo

    render_demo(folder)


@app.command()
def doctor() -> None:
    """Check versions, GPU, decoders, disk, and whether params.yaml and the data hold together."""
    from pipeline.doctor import examine

    if not examine():
        raise typer.Exit(1)


@store_app.command("size")
def store_size() -> None:
    """Show how much the store holds, by kind."""
    from pipeline.store_care import describe

    print(describe())


@store_app.command("prune")
def store_prune(
    keep_days: Annotated[
        float, typer.Option(help="Keep what was used within this many days.", min=0)
    ] = 30,
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
) -> None:
    """Remove results that were not used for a while; a stage computes again what it misses."""
    from pipeline.store_care import prune

    print(prune(keep_days, dry_run))


def main() -> None:
    """Run the command; a PipelineError is printed without a traceback and ends with status 1."""
    try:
        app()
    except PipelineError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        raise SystemExit(1) from None
