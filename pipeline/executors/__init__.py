"""Functions over many items, done by Ray or Slurm; below the rooms, which say what an item is."""
