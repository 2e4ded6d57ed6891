"""What distances between features say: neighbours, maps, and what they are close by."""
