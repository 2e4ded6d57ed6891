"""Trained models for programs that know nothing of this project: ONNX, and torch.export."""
