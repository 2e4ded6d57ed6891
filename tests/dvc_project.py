"""A small project under real DVC in a git repository of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from pipeline.demo import render

ROOT = Path(__file__).parents[1]
STAGES = ("index", "frames", "backbone", "features", "train", "evaluate")
# The commands as a user has them.
COLD = Path(sys.executable).parent


class Project:
    """A copy of the pipeline with four short operations and a small backbone.

    Attributes:
        folder: Where it lies.
        commands: Stands first in PATH: a folder with `python` and `dvc`.
    """

    def __init__(self, folder: Path, commands: Path) -> None:
        self.folder, self.commands = folder, commands

    @classmethod
    def make(cls, folder: Path, commands: Path) -> "Project":
        """Write it into `folder`, which is there and empty; nothing has run."""
        shutil.copytree(
            ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(
            ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp")
        )
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["data"]["root"] = "data/ours"
        params["frames"]["short_side"] = 64
        params["backbone"]["name"] = "resnet18"
        params["features"]["crop"] = params["backbone"]["crop"] = 64
        params["backbone"]["finetune"] |= {"epochs": 1, "strategy": "whole"}
        params["model"] |= {"hidden": 8, "layers": 1}
        params["train"] |= {"epochs": 2, "early_stop": 1}
        params["evaluate"]["bootstrap"] = 50
        params["runtime"]["threads"] = 1
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        with pytest.MonkeyPatch.context() as patch:
            # Pictures that no stage takes cost the most time. Threads see the other rate.
            patch.setattr(render, "FPS", 4)
            patch.setattr(
                render, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1)
            )
            render.render_demo(folder / "data/ours", operations=4, seconds=(9, 12))
        table = folder / "data/ours/phases.csv"
        text = table.read_text()
        for number, split in enumerate(("train", "train", "val", "test"), start=1):
            text = re.sub(rf"(operation0{number},.*,)\w+\n", rf"\1{split}\n", text)
        table.write_text(text)
        ignored = folder / ".gitignore"
        ignored.write_text(ignored.read_text() + "/data/ours\n/w.pth\n")
        project = cls(folder, commands)
        project.commit_all()
        return project

    def commit_all(self) -> None:
        self.run("git", "init", "-q")
        self.run("git", "config", "user.name", "Test")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "Start")

    def run(self, *command: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")} | {
            "PATH": f"{self.commands}:{COLD}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def repro(self, *target: str) -> tuple[list[str], str]:
        """The stages whose command ran, and what was printed; up to `target`, or all."""
        text = self.run("dvc", "repro", *target)
        return re.findall(r"Running stage '(\w+)'", text), text

    def change(self, key: str, value: object) -> None:
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        *sections, last = key.split(".")
        node = params
        for section in sections:
            node = node[section]
        node[last] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path}: {old}"
        file.write_text(text.replace(old, new))

    def outputs(self) -> dict[str, str]:
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {out["path"]: out["md5"] for s in lock.values() for out in s["outs"]}


@contextmanager
def added_video(project: Project) -> Iterator[None]:
    """A fifth operation for testing, the fourth one once more; away again behind the block."""
    videos = project.folder / "data/ours/videos"
    table = project.folder / "data/ours/phases.csv"
    old = table.read_text()
    # With an empty box at its end: the store knows the content of the fourth by any name.
    content = (videos / "operation04.mp4").read_bytes()
    (videos / "operation05.mp4").write_bytes(content + b"\0\0\0\x08free")
    rows = [row for row in old.splitlines() if row.startswith("operation04")]
    table.write_text(old + "".join(row.replace("04", "05", 1) + "\n" for row in rows))
    yield
    (videos / "operation05.mp4").unlink()
    table.write_text(old)


def finished_project(shared: Path, folder: Path, commands: Path) -> Project:
    """A project after its first `dvc repro`: run once for all test processes, then copied.

    Args:
        shared: A folder that all test processes have in common.
        folder: Gets the copy; it is not there yet.
        commands: As in `Project`.
    """
    made, partial = shared / "project", shared / "project.partial"
    with FileLock(shared / "project.lock"):
        if not made.exists():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            ran, _ = Project.make(partial, commands).repro()
            assert set(ran) == set(STAGES)
            partial.rename(made)
    shutil.copytree(made, folder, symlinks=True)
    return Project(folder, commands)
