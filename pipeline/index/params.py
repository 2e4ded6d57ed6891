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
            `bundles`: a published split of the layout mstcn; `kfold` and `leave_one_group_out`:
            cross-validation (docs/cross_validation.md).
        train: Videos, for `lists`.
        val: Videos, for `lists`.
        test: Videos, for `lists`.
        bundle: Number of the published split, for `bundles`.
        val_share: Share of the videos, for `random`; of the bundle's training videos, which are
            then drawn from `seed`, for `bundles`; of what a fold leaves, in cross-validation.
        test_share: Share of the videos, for `random`.
        folds: How many, for `kfold`.
        group: A column of videos.csv, such as surgeon: videos with one value in it are never on
            both sides. For cross-validation; `leave_one_group_out` needs it.
        stratify: A column of videos.csv whose values are spread evenly over the folds of `kfold`.
        fold: In cross-validation, the one fold that is run, from 1; null: all of them, and each
            video is predicted by the fold in which it is a test video.
    """

    scheme: Literal[
        "column",
        "lists",
        "random",
        "kfold",
        "leave_one_group_out",
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
    folds: int = Field(5, ge=2)
    group: str | None = Field(None, min_length=1)
    stratify: str | None = Field(None, min_length=1)
    fold: int | None = Field(None, ge=1)

    @property
    def cross_validates(self) -> bool:
        """Whether the scheme makes folds."""
        return self.scheme in ("kfold", "leave_one_group_out")

    @property
    def has_all_folds(self) -> bool:
        """Whether splits.csv holds several folds, of which a video is a test video in one."""
        return self.cross_validates and self.fold is None

    @property
    def has_validation(self) -> bool:
        """Whether the scheme gives validation videos, as far as params.yaml tells."""
        match self.scheme:
            case "lists":
                return bool(self.val)
            case "random" | "bundles" | "kfold" | "leave_one_group_out":
                return self.val_share > 0
            case _:
                return self.scheme != "cholec80-40-40"

    @model_validator(mode="after")
    def _folds_fit_their_scheme(self) -> Self:
        if not self.cross_validates:
            for key in ("group", "stratify", "fold"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"split: {key} is {getattr(self, key)}, but split.scheme {self.scheme} "
                        f"makes no folds. Set split.scheme: kfold or leave_one_group_out, or "
                        f"split.{key}: null"
                    )
        if self.scheme == "leave_one_group_out" and self.group is None:
            raise ValueError(
                "split: leave_one_group_out needs split.group, a column of videos.csv such as "
                "surgeon; found null"
            )
        if self.scheme == "leave_one_group_out" and self.stratify is not None:
            raise ValueError(
                f"split: stratify is {self.stratify}, but leave_one_group_out leaves whole groups "
                "out and draws nothing. Set split.stratify: null, or split.scheme: kfold"
            )
        if self.scheme == "kfold" and self.fold is not None and self.fold > self.folds:
            raise ValueError(
                f"split: fold is {self.fold}, but split.folds is {self.folds}. Allowed: null, 1 to "
                f"{self.folds}"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_scheme(self) -> Self:
        if self.scheme == "random" and self.val_share + self.test_share >= 1:
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
