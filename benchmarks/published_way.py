"""The plain way that published code works, written as the baseline of end_to_end.py.

    python benchmarks/published_way.py frames VIDEO FOLDER FPS
    python benchmarks/published_way.py features FOLDER OUTPUT.npy

OpenCV writes every sampled frame to an image file at native size. Then a DataLoader reads the files
with PIL and torchvision's transforms, and an fp32 ResNet-50 in eager mode turns batches of 16 into
one .npy for the video.
"""

import os
import sys
from pathlib import Path

import numpy as np


def extract(video: Path, folder: Path, fps: float) -> None:
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    capture = cv2.VideoCapture(str(video))
    every = round(capture.get(cv2.CAP_PROP_FPS) / fps)
    number = 0
    while True:
        ok, image = capture.read()
        if not ok:
            break
        if number % every == 0:
            cv2.imwrite(str(folder / f"{number // every:06d}.jpg"), image)
        number += 1
    capture.release()


def encode(folder: Path, output: Path) -> None:
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import models, transforms

    class Frames(Dataset[torch.Tensor]):
        def __init__(self) -> None:
            self.paths = sorted(folder.glob("*.jpg"))
            self.transform = transforms.Compose(
                [
                    transforms.Resize(256),
                    transforms.CenterCrop(224),
                    transforms.ToTensor(),
                    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
                ]
            )

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, sample: int) -> torch.Tensor:
            return self.transform(Image.open(self.paths[sample]).convert("RGB"))

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = models.resnet50(weights=None)
    network.fc = torch.nn.Identity()
    network.eval().to(device)
    loader = DataLoader(Frames(), batch_size=16, num_workers=min(4, os.cpu_count() or 1))
    with torch.no_grad():
        features = [network(images.to(device)).cpu().numpy() for images in loader]
    np.save(output, np.concatenate(features))


def main() -> None:
    match sys.argv[1:]:
        case ["frames", video, folder, fps]:
            extract(Path(video), Path(folder), float(fps))
        case ["features", folder, output]:
            encode(Path(folder), Path(output))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
