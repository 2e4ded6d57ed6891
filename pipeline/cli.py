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
def leaderboard(
    metric: Annotated[
        str, typer.Option(help="Sorts the rows: as in reports/details.json, or a short name.")
    ] = "macro_f1",
    md: Annotated[bool, typer.Option("--md", help="Markdown, for a pull request.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="A tabular, for a paper.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also a page, into this file.")] = None,
) -> None:
    """Rank all commits and experiments that scored the same test videos."""
    from pipeline.leaderboard.command import leaderboard as rank

    print(rank(metric, md, latex, html))


@app.command()
def tune(
    space: Annotated[Path, typer.Argument(help="Keys with their values: see docs/search.md.")],
    trials: Annotated[int, typer.Option(help="In all, those of earlier calls included.", min=1)] = (
        30
    ),
    metric: Annotated[
        str, typer.Option(help="Of the validation videos, as in reports/metrics.json.")
    ] = "val.macro_f1",
    jobs: Annotated[int, typer.Option(help="Trials at a time, by DVC's queue.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of the sampler.", min=0)] = 1,
    name: Annotated[str, typer.Option(help="The study; its trials are <name>-0, ...")] = "study",
    prune: Annotated[bool, typer.Option("--prune", help="End hopeless trials early.")] = False,
) -> None:
    """Search over parameters; each trial is a DVC experiment. Run again, it goes on."""
    _check_params()
    from pipeline.tune.command import tune as search

    search(space, trials, metric, jobs, seed, name, prune)


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


@app.command("import-features")
def import_features(
    source: Annotated[Path, typer.Argument(help="A file, or a folder with a file per video.")],
    out: Annotated[Path, typer.Option(help="Gets features/<video>.npy, for data.layout: mstcn.")],
    key: Annotated[
        str | None, typer.Option(help="The array, or group of arrays, in each file.")
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(help="CSV `video,frames`: what lies end to end in one array or in a list."),
    ] = None,
) -> None:
    """Take over features that other programs computed: HDF5, NumPy, MATLAB, torch, pickle."""
    from pipeline.import_features.command import import_features as write_features

    print(write_features(source, out, key, videos))


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
def predict(
    videos: Annotated[
        list[str], typer.Argument(help="Files, folders and patterns such as 'op*.mp4'.")
    ],
    model: Annotated[
        Path, typer.Option(help="The folder models/ of a project, or a bundle.")
    ] = Path("models"),
    out: Annotated[Path, typer.Option(help="Where the files go.")] = Path("predictions"),
    abstain: Annotated[
        float | None,
        typer.Option(help="Below this probability a stretch stays without a phase.", min=0, max=1),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<number>.")] = "auto",
    batch: Annotated[int, typer.Option(help="Images per forward pass on a GPU.", min=1)] = 64,
    jobs: Annotated[
        int, typer.Option(help="Videos at once; 0: one per GPU, or per 8 cores.", min=0)
    ] = 0,
    runtime: Annotated[
        Literal["torch", "onnx"],
        typer.Option(help="onnx: files of `export --to onnx`, without torch, one video at a time."),
    ] = "torch",
) -> None:
    """Predict the phases of any videos, by trained models alone."""
    if runtime == "onnx":
        from pipeline.predict.onnx import predict_videos as predict_by_onnx

        print(predict_by_onnx(videos, model, out, abstain))
        return
    from pipeline.predict.command import Request, predict_videos

    print(predict_videos(videos, Request(model, out, abstain, device, batch, jobs)))


@app.command()
def stream(
    source: Annotated[
        str,
        typer.Argument(help="A camera (0, /dev/video0), rtsp:// or http://, a file, or - (rgb24)."),
    ],
    model: Annotated[
        Path, typer.Option(help="The folder models/ of a project, or a bundle.")
    ] = Path("models"),
    size: Annotated[
        str | None, typer.Option(help="Of a camera or -: 1280x720.", metavar="WIDTHxHEIGHT")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Of a camera or -, pictures per second: 25, 30000/1001.")
    ] = None,
    pace: Annotated[
        bool, typer.Option("--pace/--no-pace", help="A file at its own pace, or at full speed.")
    ] = True,
    serve: Annotated[
        str | None, typer.Option(help="Show the live page here: 8080, 127.0.0.1:8080.")
    ] = None,
    give_up: Annotated[
        float | None,
        typer.Option(
            help="Seconds without a picture; else 10 for cameras, never for the rest.", min=0
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<number>.")] = "auto",
) -> None:
    """Predict while a source goes on: a line of JSON for each moment, and a live page."""
    from pipeline.stream.command import Request
    from pipeline.stream.command import stream as predict_source

    predict_source(Request(source, model, size, rate, pace, give_up, serve, device))


@app.command()
def bundle(
    models: Annotated[Path, typer.Argument(help="The folder of both model files.")] = Path(
        "models"
    ),
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle.")] = Path("model.zip"),
    reports: Annotated[Path, typer.Option(help="The report on these models.")] = Path("reports"),
    licence: Annotated[str, typer.Option(help="Under which the bundle is handed on.")] = "",
) -> None:
    """Put trained models, their figures and a model card into one file."""
    from pipeline.bundle.pack import bundle as write_bundle

    print(write_bundle(models, output, reports, licence))


@app.command()
def export(
    to: Annotated[Literal["onnx", "torch"], typer.Option(help="ONNX, or torch.export (.pt2).")],
    model: Annotated[
        Path, typer.Option(help="The folder models/ of a project, or a bundle.")
    ] = Path("models"),
    out: Annotated[
        Path | None, typer.Option(help="Where the files go; else models/onnx or models/torch.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="Of the backbone, in ONNX.")
    ] = "fp32",
) -> None:
    """Write trained models for other programs, checked against torch."""
    from pipeline.export.command import export_models

    print(export_models(model, to, out, precision))


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
def recipe(
    name: Annotated[str | None, typer.Argument(help="A file of recipes/, without .yaml.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Only say which ones there are.")] = False,
) -> None:
    """Write a well-known recipe into params.yaml."""
    from pipeline.recipes.command import list_recipes, use_recipe

    print(list_recipes() if show or name is None else use_recipe(name))


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
