"""What a camera saw last, as the panel shows it (docs/live-feed.md, `camera`)."""

from typing import Any

from agent.line.watch import LastPicture, Watch

_PLACES = {"unread": "no_read", "lying": "no_read", "foreign": "no_read", "missing": "wait"}
"""The mark of a place of an open case that gave no code, by its verdict."""


def picture(watch: Watch, last: LastPicture) -> dict[str, Any]:
    """Its figures, and a mark for each code and each place without one, in pixels of the frame."""
    height, width = last.frame.image.shape[:2]
    decoded = last.decoded
    marks = []
    for n, read in enumerate(decoded.reads):
        if read.corners:
            xs = [x for x, _ in read.corners]
            ys = [y for _, y in read.corners]
            place = decoded.places[n] if decoded.places else len(decoded.verdicts)
            twice = place < len(decoded.verdicts) and decoded.verdicts[place] == "doubled"
            box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
            marks.append(_mark("duplicate" if twice else "good", box))
    empty = [
        _mark(_PLACES[verdict], box)
        for box, verdict in zip(decoded.boxes, decoded.verdicts, strict=False)
        if verdict in _PLACES
    ]
    waiting = sum(mark["s"] == "wait" for mark in empty)
    expected = watch.expected_reads
    return {
        "id": watch.reader.id,
        "frame": last.number,
        "at": last.wall_ms,
        "good": len(decoded.reads),
        "no_read": max(0, expected - len(decoded.reads) - waiting),
        "waiting": waiting,
        "width": width,
        "height": height,
        "marks": marks + empty,
    }


def _mark(sort: str, box: tuple[int, int, int, int]) -> dict[str, Any]:
    x, y, w, h = box
    return {"s": sort, "x": x, "y": y, "w": w, "h": h}
