"""The dataset's folder as it lies on disk to data/index/{videos,labels,splits,phases}.csv."""
