import torch
from torch.nn import functional

from pipeline.training.video_loss import ScoreLoss, VideoClassLoss


def test_the_weight_of_a_class_counts_in_a_batch_of_one_video():
    logits = torch.randn(1, 1, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.ones(1, 7, dtype=torch.int64)  # a video's class in every column
    light, heavy = (VideoClassLoss(torch.tensor([1.0, w]))([logits], labels) for w in (1.0, 3.0))
    torch.testing.assert_close(light, functional.cross_entropy(logits[0], labels[0, :1]))
    torch.testing.assert_close(heavy, 3 * light)


def test_the_mean_over_videos_is_that_of_each_alone():
    logits = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 2])[:, None].expand(4, 5)
    for kind in ("cross_entropy", "focal"):
        loss = VideoClassLoss(torch.tensor([1.0, 2.0, 0.5]), kind)
        alone = [loss([logits[i : i + 1]], labels[i : i + 1]) for i in range(4)]
        torch.testing.assert_close(loss([logits], labels), torch.stack(alone).mean())


def test_a_score_is_compared_with_the_one_that_its_label_names():
    loss = ScoreLoss(torch.tensor([-1.0, 0.5, 2.0]))
    predicted = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)
    labels = torch.tensor([[0, 0], [1, -1], [2, -1]])  # -1: padding
    torch.testing.assert_close(loss([predicted], labels), torch.tensor(2.0 / 3))
    assert loss.class_weights.shape == (3,)
