"""Pictures of phases, scores and curves: arrays in, PNG or SVG out."""
