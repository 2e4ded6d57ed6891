"""Phase colours that every picture shares."""

# Tol's "muted" scheme, which the colour-blind tell apart, and three more of its family.
_MUTED = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677"),
    *("#882255", "#AA4499", "#6699CC", "#661100", "#888888"),
)
UNLABELLED = "#F2F2F2"


def phase_colours(phases: int) -> list[str]:
    """One colour per class, repeated beyond twelve."""
    return [_MUTED[i % len(_MUTED)] for i in range(phases)]
