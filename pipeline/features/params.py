"""The section `features` of params.yaml."""

from typing import Any, Literal

from pydantic import Field

from pipeline.settings import Section


class FeaturesParams(Section):
    """How frames become features.

    Attributes:
        precision: Of the forward pass. bf16 differs from fp32 by one to some percent. int8 takes
            its scales from frames of the training videos, runs on processors only, and each file
            says how close it came.
        dtype: Of the features on disk.
        decoder: Who reads the JPEGs. nvjpeg is a GPU's: decoding and resizing then leave the
            processor free, where few cores cannot feed the GPU. Pixels differ a little.
        crop: Side of the centre crop in pixels; null is what the weights were trained with.
            Another value scales the resize before it alike.
        tta: Test-time augmentation. The features are means over views of each frame: `flip`, it and
            its mirror image; `five_crop`, the corners and the centre of the resized frame.
    """

    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    dtype: Literal["float16", "float32"] = "float16"
    decoder: Literal["opencv", "nvjpeg"] = "opencv"
    crop: int | None = Field(None, ge=32)
    tta: Literal["none", "flip", "five_crop"] = "none"

    def deciding(self) -> dict[str, Any]:
        """What decides features beside the transform, which holds the crop.

        Without `tta: none`, so that features from before that key keep their fingerprints.
        """
        return self.model_dump(exclude={"crop", "tta"} if self.tta == "none" else {"crop"})
