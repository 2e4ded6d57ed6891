"""Every metric of 40 videos (98,000 frames) with 2,000 bootstrap draws: target below 3 s."""

import time
from statistics import median

import numpy as np

from pipeline.metrics.summary import summarise
from pipeline.phases import CHOLEC80
from pipeline.scored_video import ScoredVideo

RUNS = 5
GENERATOR = np.random.default_rng(0)


def video() -> ScoredVideo:
    truth = np.repeat(np.arange(7), 350)
    wrong = GENERATOR.random(len(truth)) < 0.1  # flickers: some 450 runs
    prediction = np.where(wrong, GENERATOR.integers(0, 7, len(truth)), truth)
    probabilities = GENERATOR.dirichlet(np.ones(7), len(truth)) * 0.5
    probabilities[np.arange(len(truth)), prediction] += 0.5
    return ScoredVideo(truth, prediction, probabilities)


def main() -> None:
    videos = {f"video{i}": video() for i in range(40)}
    print("| bootstrap draws | s, median of 5 |\n|---|---|")
    for draws in (0, 2000):
        summarise(videos, CHOLEC80, 1.0, 10, draws)
        seconds = []
        for _ in range(RUNS):
            started = time.perf_counter()
            summarise(videos, CHOLEC80, 1.0, 10, draws)
            seconds.append(time.perf_counter() - started)
        print(f"| {draws} | {median(seconds):.2f} |")


if __name__ == "__main__":
    main()
