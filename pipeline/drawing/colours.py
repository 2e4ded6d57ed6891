"""The colours of phases in every picture."""

# Paul Tol's "muted" scheme, which colour-blind people can tell apart, and three more like it.
_MUTED = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677"),
    *("#882255", "#AA4499", "#6699CC", "#661100", "#888888"),
)
UNLABELLED = "#F2F2F2"


def class_colours(num_classes: int) -> list[str]:
    """One colour per class, repeated beyond twelve."""
    return [_MUTED[i % len(_MUTED)] for i in range(num_classes)]


def text_colour(background: str) -> str:
    """Black or white, whichever stands out more (WCAG 2.2, relative luminance)."""
    channels = [int(background[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#FFFFFF"
