"""The sections `data` and `split` of params.yaml."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.index.layouts import GIVEN_FEATURES, LAYOUTS
from pipeline.settings import Number, Section
from pipeline.timebase import exact_fps

if TYPE_CHECKING:
    LayoutName = str
else:
    LayoutName = Literal[tuple(LAYOUTS)]


def _is_rate(value: Any) -> Any:
    if value is not None:
        exact_fps(value)
    return value


class DataParams(Section):
    """Where the videos and labels are, and how they lie there.

    Attributes:
        root: The dataset's folder.
        layout: See docs/datasets.md.
        fps: Frames per second of features that the data set brings itself (layout mstcn), whose
            files do not tell; null where there are videos.
    """

    root: str = Field(min_length=1)
    layout: LayoutName
    fps: Annotated[int | float | str | None, AfterValidator(_is_rate)] = None

    @model_validator(mode="after")
    def _rate_is_given_where_no_video_tells_it(self) -> Self:
        if self.layout in GIVEN_FEATURES and self.fps is None:
            raise ValueError(
                f"data.fps is null, but layout: {self.layout} has no videos that tell it. Set it "
                "to the rate of the features: 30 for the published ones of 50Salads, 15 for GTEA "
                "and Breakfast"
            )
        if self.layout not in GIVEN_FEATURES and self.fps is not None:
            raise ValueError(
                f"data.fps is {self.fps}, but the videos of layout: {self.layout} tell their own "
                "rate. Set it to null; frames.fps says how many frames are taken"
            )
        return self


class SplitParams(Section):
    """Which video is for training, validation and test.

    Attributes:
        scheme: A protocol of Cholec80; `column`: the column `split` of the labels table (layout
            csv); `lists`: the three lists below; `random`: by video, drawn from `seed`;
            `bundles`: a published split of the layout mstcn.
        train: Videos, for `lists`.
        val: Videos, for `lists`.
        test: Videos, for `lists`.
        bundle: Number of the published split, for `bundles`.
        val_share: Share of the videos, for `random`; of the bundle's training videos, which are
            then drawn from `seed`, for `bundles`.
        test_share: Share of the videos, for `random`.
    """

    scheme: Literal[
        "column",
        "lists",
        "random",
        "bundles",
        "cholec80-40-40",
        "cholec80-32-8-40",
        "cholec80-40-8-32",
    ]
    train: list[str] = Field(default_factory=list)
    val: list[str] = Field(default_factory=list)
    test: list[str] = Field(default_factory=list)
    bundle: int = Field(1, ge=1)
    val_share: Number = Field(0.1, ge=0, lt=1)
    test_share: Number = Field(0.3, gt=0, lt=1)

    @property
    def has_validation(self) -> bool:
        """Whether the scheme gives validation videos, as far as params.yaml tells."""
        match self.scheme:
            case "lists":
                return bool(self.val)
            case "random" | "bundles":
                return self.val_share > 0
            case _:
                return self.scheme != "cholec80-40-40"

    @model_validator(mode="after")
    def _fits_its_scheme(self) -> Self:
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"split: val_share {self.val_share} and test_share {self.test_share} leave "
                "nothing to train on; their sum must be below 1"
            )
        lists = {"train": self.train, "val": self.val, "test": self.test}
        if self.scheme != "lists" and any(lists.values()):
            raise ValueError(
                f"split: train, val and test are given, but split.scheme is {self.scheme}. "
                "Set split.scheme: lists, or remove the lists"
            )
        seen: dict[str, str] = {}
        for split, videos in lists.items():
            for video in videos:
                if video in seen:
                    raise ValueError(
                        f"split: the video {video} is in split.{seen[video]} and in "
                        f"split.{split}; one video belongs to one split"
                    )
                seen[video] = split
        return self
