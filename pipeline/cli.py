"""The command line: one command per stage, each a few lines over its room.

Rooms are imported by their commands, so that `--help` and `index` load no torch.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

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
compress_app = typer.Typer(
    help="Smaller backbones, whose files backbone.weights can name.", no_args_is_help=True
)
app.add_typer(compress_app, name="compress")


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
    """Pin the CNN's weights in models/backbone.safetensors; fine-tune or adapt them if asked."""
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
def report(
    paper: Annotated[
        bool, typer.Option("--paper", help="Also write 300 dpi PNGs into reports/paper.")
    ] = False,
) -> None:
    """Show the headline, the revision of the parameters and where the report is."""
    from pipeline.report.summary import describe, read_details

    details = read_details()
    print(describe(details))
    if paper:
        from pipeline.report.paper_pictures import write_paper_pictures

        print(f"Pictures: {write_paper_pictures(details).resolve()}")


@app.command()
def efficiency() -> None:
    """Measure parameters, operations and time per frame of the models on this machine."""
    from pipeline.efficiency.measure import as_text, measure

    print(as_text(measure()))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A folder with a report, a git revision, an experiment")],
    b: Annotated[str, typer.Argument(help="The other one; `.` is the working folder")],
    md: Annotated[bool, typer.Option("--md", help="Markdown, for a pull request.")] = False,
) -> None:
    """Compare two reports of the same test videos, with paired intervals."""
    from pipeline.compare.comparison import compare as compare_reports
    from pipeline.compare.reports import read_report
    from pipeline.compare.wording import as_markdown, as_text

    found = compare_reports(read_report(a), read_report(b))
    print(as_markdown(found) if md else as_text(found))


@app.command()
def probe(
    backbones: Annotated[
        str | None,
        typer.Option(help="Names or name=weights, with commas; without it, features/videos."),
    ] = None,
    split: Annotated[
        Literal["val", "test"], typer.Option(help="Choose by val; test is for the report.")
    ] = "val",
    md: Annotated[bool, typer.Option("--md", help="Markdown, for a pull request.")] = False,
) -> None:
    """Compare backbones by what their features tell about single frames."""
    _check_params()
    from pipeline.probe.probing import probe as probe_backbones
    from pipeline.probe.wording import show

    show(probe_backbones(backbones, split), split, md)


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="A file, or a folder with one per video.")],
    truth: Annotated[Path, typer.Argument(help="The same, of the true phases.")],
    layout: Annotated[
        Literal["cholec80", "csv", "videos"],
        typer.Option(help="How both are written: see docs/metrics.md."),
    ] = "cholec80",
    skip_first_line: Annotated[
        bool, typer.Option(help="Drop first lines as Cholec80's official script does.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where all metrics go, as in details.json.")
    ] = None,
) -> None:
    """Score predictions that any other program made."""
    import json

    from pipeline.atomic import write_text
    from pipeline.metrics.headline import as_text, headline
    from pipeline.score.scoring import score as score_files
    from pipeline.score.video_labels import headline_of_videos, score_videos

    if layout == "videos":
        metrics = score_videos(predictions, truth)
        print(f"{metrics['videos']} videos, one label each")
        print(as_text(headline_of_videos(metrics)))
    else:
        scored = score_files(predictions, truth, layout, skip_first_line)
        metrics = scored.metrics
        print(f"{metrics['videos']} videos, {scored.label_fps:g} labels per second")
        print(as_text(headline(metrics)))
    if json_file is not None:
        write_text(json_file, json.dumps(metrics, indent=2, sort_keys=True) + "\n")


@app.command()
def explain(
    video: Annotated[
        str, typer.Argument(help="A video of data/index/videos.csv, by its name or its file.")
    ],
    at: Annotated[list[str], typer.Option(help="M:SS, H:MM:SS or seconds; as often as wanted.")],
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("reports/explain"),
) -> None:
    """Draw what in a frame the prediction came from, by Grad-CAM through both models."""
    from pipeline.explain.command import explain as explain_moments

    print(explain_moments(video, at, out))


@app.command()
def view(
    video: Annotated[
        str, typer.Argument(help="A video of data/index/videos.csv, or any video file.")
    ],
    prediction: Annotated[
        Path | None, typer.Option(help="Its table; else reports/predictions/VIDEO.csv.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="A table of labels; else data/index/labels.csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page; else beside the video or in reports/view.")
    ] = None,
    transcode: Annotated[
        bool, typer.Option("--transcode", help="Play a copy in H.264, written beside the page.")
    ] = False,
) -> None:
    """Write a page that plays a video with its phases and takes corrections."""
    from pipeline.view.command import view as write_page

    print(write_page(video, prediction, truth, out, transcode))


@app.command()
def overlay(
    video: Annotated[
        str, typer.Argument(help="A video of data/index/videos.csv, or any video file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The copy, an MP4 file.")],
    prediction: Annotated[
        Path | None, typer.Option(help="Its table; else reports/predictions/VIDEO.csv.")
    ] = None,
) -> None:
    """Burn phase, confidence and ribbon into a copy of a video."""
    from pipeline.overlay.command import overlay as write_overlay

    print(write_overlay(video, prediction, out))


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


@compress_app.command("prune")
def compress_prune(
    ratio: Annotated[float, typer.Option(help="Share of channels that goes, 0.05 to 0.9.")],
    epochs: Annotated[int, typer.Option(help="Of recovery, on training frames.")] = 2,
    out: Annotated[Path, typer.Option(help="The file.")] = Path("models/pruned.safetensors"),
) -> None:
    """Remove the weakest channels of the project's ResNet and let it recover."""
    _check_params()
    from pipeline.compress.command import prune
    from pipeline.compress.table import table

    print(prune(ratio, epochs, out))
    print(table([out]))


@compress_app.command("distil")
def compress_distil(
    student: Annotated[str, typer.Option(help="Name or name=weights, as resnet18=IMAGENET1K_V1.")],
    epochs: Annotated[int, typer.Option(help="Over the training frames.")] = 10,
    out: Annotated[Path, typer.Option(help="The file.")] = Path("models/student.safetensors"),
) -> None:
    """Teach a small network the features of the project's backbone."""
    _check_params()
    from pipeline.compress.command import distil
    from pipeline.compress.table import table

    print(distil(student, epochs, out))
    print(table([out]))


@compress_app.command("table")
def compress_table(
    files: Annotated[list[Path], typer.Argument(help="What prune and distil wrote.")],
) -> None:
    """Compare smaller backbones with the project's: size, speed, and what they tell."""
    _check_params()
    from pipeline.compress.table import table

    print(table(files))


def main() -> None:
    """Run the command; a PipelineError is printed without a traceback and ends with status 1."""
    try:
        app()
    except PipelineError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        raise SystemExit(1) from None
