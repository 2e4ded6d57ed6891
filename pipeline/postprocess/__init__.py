"""From a network's logits to phases: calibration, and what smooths predictions over time."""
