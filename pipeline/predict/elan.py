"""Segments as a document of ELAN, in which annotators can go on (EAF, format 3.0).

The format: Max Planck Institute for Psycholinguistics, "EAF Annotation Format 3.0 and ELAN", with
the schema http://www.mpi.nl/tools/elan/EAFv3.0.xsd, which fixes the order of the elements.
"""

import mimetypes
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from urllib.parse import quote

from pipeline.predict.prediction import Segment

TIER = "prediction"
_TYPE = "default-lt"
# The schema wants a date. A fixed one, so that the same prediction gives the same bytes.
_DATE = "1970-01-01T00:00:00+00:00"


def eaf(segments: Sequence[Segment], video: str) -> str:
    """The text of an .eaf file with one tier.

    Args:
        segments: In order.
        video: Where the video lies, seen from the document, with forward slashes.
    """
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "",
            "DATE": _DATE,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    url = quote(video)
    ET.SubElement(
        header,
        "MEDIA_DESCRIPTOR",
        MEDIA_URL=url,
        RELATIVE_MEDIA_URL=url,
        MIME_TYPE=mimetypes.guess_type(video)[0] or "video/*",
    )
    last = ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last.text = str(len(segments))
    times = ET.SubElement(root, "TIME_ORDER")
    tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=TIER)
    for number, segment in enumerate(segments, start=1):
        slots = [f"ts{2 * number - 1}", f"ts{2 * number}"]
        for slot, seconds in zip(slots, (segment.start_s, segment.end_s), strict=True):
            ET.SubElement(
                times, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(round(1000 * seconds))
            )
        annotation = ET.SubElement(
            ET.SubElement(tier, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{number}",
            TIME_SLOT_REF1=slots[0],
            TIME_SLOT_REF2=slots[1],
        )
        ET.SubElement(annotation, "ANNOTATION_VALUE").text = segment.label
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID=_TYPE,
        TIME_ALIGNABLE="true",
    )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
