"""Features and temporal model to metrics, predictions, figures and the report."""
