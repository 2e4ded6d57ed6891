"""Commits and experiments that scored the same test videos: `python -m pipeline leaderboard`."""
