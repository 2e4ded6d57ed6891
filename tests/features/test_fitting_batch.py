"""A device that runs out of memory: the batch is halved and the work goes on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.features import fitting_batch
from pipeline.features.build import Plan
from pipeline.features.encode import Encoder, encode
from pipeline.features.fitting_batch import FittingWriter
from pipeline.features.params import FeaturesParams
from pipeline.features.video import MissingVideo
from pipeline.networks.backbones.transform import Transform
from pipeline.runtime import RuntimeParams

VIDEO = MissingVideo(Path("v.h5"), Path("features.h5"), "fingerprint")


@pytest.fixture
def written(monkeypatch):
    """Batches that were built, and a writer whose network holds no more than `most` images."""

    def with_memory_for(most, batch):
        built, said = [], []

        def network(images):
            if len(images) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return images.float().mean(dim=(2, 3))

        def build(plan, device, pool, say):
            built.append(plan.runtime.batch)
            transform = Transform(8, 8, "bilinear", (0.0,) * 3, (1.0,) * 3)
            return SimpleNamespace(encoder=Encoder(network, transform, device, built[-1]))

        def write(video, by, pool):
            try:
                features = encode(np.ones((5, 8, 8, 3), dtype=np.uint8), by.encoder, pool)
            except PipelineError as error:  # as write_video
                raise PipelineError(f"{video.container}: {error}") from None
            return f"{len(features)} frames"

        monkeypatch.setattr(fitting_batch, "build_writer", build)
        monkeypatch.setattr(fitting_batch, "write_video", write)
        plan = Plan(Path("b"), FeaturesParams(), RuntimeParams(batch=batch), [], {})
        with ThreadPoolExecutor(1) as pool:
            writer = FittingWriter(plan, torch.device("cpu"), pool, said.append)
            return [writer(VIDEO), writer(VIDEO)], built, said

    return with_memory_for


def test_the_batch_is_halved_until_it_fits_and_stays_so(written):
    notes, built, said = written(most=2, batch=9)
    assert notes == ["5 frames", "5 frames"]
    assert built == [9, 4, 2]
    assert said[0] == "features: cpu is too small for runtime.batch: 9; going on with 4"
    assert len(said) == 2


def test_a_batch_that_fits_is_left_alone(written):
    _, built, said = written(most=8, batch=8)
    assert built == [8] and not said


def test_memory_too_small_for_one_image_is_an_error(written):
    with pytest.raises(PipelineError, match=r"v\.h5: .*ran out of memory with runtime.batch: 1"):
        written(most=0, batch=8)


def test_another_error_is_not_tried_again(monkeypatch):
    tried = []

    def fails(*_):
        tried.append(1)
        raise PipelineError("a damaged frame")

    plan = Plan(Path("b"), FeaturesParams(), RuntimeParams(), [], {})
    monkeypatch.setattr(fitting_batch, "build_writer", fails)
    with ThreadPoolExecutor(1) as pool, pytest.raises(PipelineError, match="a damaged frame"):
        FittingWriter(plan, torch.device("cpu"), pool, print)(VIDEO)
    assert tried == [1]
