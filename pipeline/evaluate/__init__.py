"""Features and temporal model to metrics, predictions, pictures and the report."""
