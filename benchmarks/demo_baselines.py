"""How hard the demo is without time: a majority vote and a classifier of single frames.

dvc repro && python benchmarks/demo_baselines.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.sequences import read_split


def main() -> None:
    features, labels = {}, {}
    for split in ("train", "test"):
        sequences = read_split(split)
        features[split] = np.concatenate([s.features.astype(np.float32) for s in sequences])
        labels[split] = np.concatenate([s.labels for s in sequences])
    majority = np.bincount(labels["train"]).argmax()
    print(f"majority vote          {np.mean(labels['test'] == majority):.3f}")
    best = 0.0
    # The best of these on the test videos: a bound that flatters the frame-wise classifier.
    for c in (1e-4, 1e-3, 1e-2, 1e-1):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))
        model.fit(features["train"], labels["train"])
        best = max(best, model.score(features["test"], labels["test"]))
    print(f"classifier per frame   {best:.3f}")
    test = json.loads(Path("reports/details.json").read_text())["test"]
    print(f"temporal model         {test['frame']['accuracy']['pooled']:.3f}")


if __name__ == "__main__":
    main()
