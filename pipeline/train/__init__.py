"""Features and labels to models/temporal.safetensors."""
