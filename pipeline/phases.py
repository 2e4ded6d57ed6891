"""Phase names of the datasets whose order a metric or an importer must know."""

# The order of the relaxed-boundary rule; some readers list another one.
CHOLEC80 = (
    "Preparation",
    "CalotTriangleDissection",
    "ClippingCutting",
    "GallbladderDissection",
    "GallbladderPackaging",
    "CleaningCoagulation",
    "GallbladderRetraction",
)
M2CAI16 = ("TrocarPlacement", *CHOLEC80)
