"""Where in an image a prediction comes from: through backbone and temporal model, back to a map."""
