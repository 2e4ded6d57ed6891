"""The dataset's folder as it lies on disk to data/index/*.csv."""
