"""The command `predict` and the class Predictor: from trained models and a video to its phases."""
