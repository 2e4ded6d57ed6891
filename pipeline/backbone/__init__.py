"""Weights from torchvision, a file or a seed to models/backbone.safetensors."""
