"""What several kinds of temporal networks are built of; none of it is a kind itself."""
