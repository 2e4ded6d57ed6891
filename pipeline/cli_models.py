"""The command line, continued: what is done with trained models.

Packages are imported by their commands, as in cli.py.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.errors import PipelineError

compress_app = typer.Typer(
    help="Smaller backbones, whose files backbone.weights can name.", no_args_is_help=True
)


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
    executor: Annotated[
        Literal["local", "ray", "slurm"], typer.Option(help="A cluster: see docs/cluster.md.")
    ] = "local",
    address: Annotated[str, typer.Option(help="Of a Ray cluster, host:port.")] = "",
    task: Annotated[
        str, typer.Option(help="What one video takes there.", metavar="cpus=4,gpus=1,memory_gb=8")
    ] = "",
    slurm: Annotated[
        str, typer.Option(help="As runtime.slurm.", metavar="partition=gpu,jobs=32")
    ] = "",
) -> None:
    """Predict the phases of any videos, or the classes of images, by trained models alone."""
    if runtime == "onnx":
        if executor != "local":
            raise PipelineError(
                f"--executor: found {executor}, but --runtime onnx runs here only. "
                "Allowed with it: local."
            )
        from pipeline.predict.onnx import predict_videos as predict_by_onnx

        print(predict_by_onnx(videos, model, out, abstain))
        return
    from pipeline.predict.cluster import runtime_of
    from pipeline.predict.command import Request, predict_videos

    elsewhere = runtime_of(executor, address, task, slurm)
    print(predict_videos(videos, Request(model, out, abstain, device, batch, jobs, elsewhere)))


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


@compress_app.command("prune")
def compress_prune(
    ratio: Annotated[float, typer.Option(help="Share of channels that goes, 0.05 to 0.9.")],
    epochs: Annotated[int, typer.Option(help="Of recovery, on training frames.")] = 2,
    out: Annotated[Path, typer.Option(help="The file.")] = Path("models/pruned.safetensors"),
) -> None:
    """Remove the weakest channels of the project's ResNet and let it recover."""
    from pipeline.all_params import check_params

    check_params()
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
    from pipeline.all_params import check_params

    check_params()
    from pipeline.compress.command import distil
    from pipeline.compress.table import table

    print(distil(student, epochs, out))
    print(table([out]))


@compress_app.command("table")
def compress_table(
    files: Annotated[list[Path], typer.Argument(help="What prune and distil wrote.")],
) -> None:
    """Compare smaller backbones with the project's: size, speed, and what they tell."""
    from pipeline.all_params import check_params

    check_params()
    from pipeline.compress.table import table

    print(table(files))
