"""Two example lines: a bottling line with coder, cases and pallets, and a liquor line with caps.

Sizes of symbols and frames follow from sample texts, so that every code is as large in its picture
as a camera needs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from drivers.sim.layout import (
    Applicator,
    Belt,
    Camera,
    Capper,
    Coder,
    Layout,
    Packer,
    Preprinted,
    Seen,
    View,
)
from drivers.sim.symbols import LINEAR, PITCH, QUIET, suggest_size

ROLL = 500
"""Pre-printed codes on one roll, or in one carton of caps."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a role's code looks: a sample text of full length, the kind of symbol, GS1 or not."""

    text: str
    kind: str = "QRCode"
    gs1: bool = False

    @property
    def size(self) -> int:
        return suggest_size(self.text, self.kind, self.gs1)

    @property
    def cell(self) -> int:
        """px that the symbol needs with its quiet zone, jitter and a small angle."""
        return ceil((self.size + 2 * QUIET[self.kind] * PITCH[self.kind]) * 1.08) + 12

    @property
    def high(self) -> int:
        """The same upwards: a bar code is lower than wide."""
        return ceil(self.cell * 0.6) if self.kind in LINEAR else self.cell


def own_view(camera: str, looks: Mapping[str, Look], caps: Sequence[str] = ()) -> View:
    """A camera that sees these roles of one item, side by side; `caps` are not on it yet."""
    width = max(640, sum(look.cell for look in looks.values()))
    height = max(480, max(look.high for look in looks.values()))
    see = tuple(
        Seen(
            role,
            look.kind,
            look.size,
            "cap" if role in caps else "own",
            x=(place + 0.5) / len(looks),
            gs1=look.gs1,
        )
        for place, (role, look) in enumerate(looks.items())
    )
    return View(camera, width, height, see)


def content_view(camera: str, role: str, look: Look, columns: int, rows: int) -> View:
    """A camera over `columns` x `rows` children."""
    see = (Seen(role, look.kind, look.size, "content", gs1=look.gs1),)
    return View(camera, columns * look.cell, rows * look.high, see, columns, rows)


def glimpse(camera: str, role: str, look: Look, child: str, inside: Look, lanes: int) -> View:
    """A camera of a container's label that shows the first row of its children above it."""
    width, height = max(look.cell, inside.cell), max(look.high, inside.high)
    see = (
        Seen(role, look.kind, look.size, y=0.75, gs1=look.gs1),
        Seen(child, inside.kind, inside.size, "content", gs1=inside.gs1, most=lanes),
    )
    return View(camera, max(640, lanes * width), 2 * max(240, height), see, lanes, 2)


def _labelling(
    level: str,
    role: str,
    look: Look,
    station: int,
    content: View | None,
    view: View | None = None,
) -> tuple[Camera | Applicator, ...]:
    """Content picture at the packer's own PLC station, applicator and label camera (which shows
    `view`, or the label alone) at the next."""
    seen: tuple[Camera, ...] = ()
    if content is not None:
        seen = (Camera(f"{level}-content", 300, station, (content,), gate=700),)
    return (
        *seen,
        Applicator(f"{level}-applicator", 1200, station + 1, f"{level}-printer", (role,)),
        Camera(
            f"{level}-label",
            1800,
            station + 1,
            (view or own_view(f"{level}-label", {role: look}),),
            gate=2200,
        ),
    )


def bottling(
    body: Look,
    case: Look,
    pallet: Look,
    *,
    sequence: bool = False,
    seen: bool = False,
    foreign: tuple[str, ...] = (),
    campaign: tuple[str, ...] = (),
    first_number: int = 1,
) -> Layout:
    """Bottles coded by "coder", 24 to a case (4 lanes x 6 in one stroke), 8 cases to a pallet.

    PLC stations: 0 coder, 1 verify, 2 case packer and the picture of the open case (not with
    `sequence`), 3 case label (whose camera also shows a bottle of each lane with `seen`),
    4 palletiser with a picture of each layer of 4, 5 pallet label.
    Printers: coder, case-printer, pallet-printer. Cameras: verify, case-content, case-label, layer,
    pallet-label. Roles: body, case-outer, pallet.
    """
    content = None if sequence else content_view("case-content", "body", body, 6, 4)
    layer = () if sequence else (content_view("layer", "case-outer", case, 2, 2),)
    view = glimpse("case-label", "case-outer", case, "body", body, 4) if seen else None
    return Layout(
        belts=(
            Belt(
                "bottle",
                "body",
                speed=500,
                pitch=100,
                length=1500,
                stations=(
                    Coder("coder", 100, "coder", ("body",), station=0),
                    Camera("verify", 500, 1, (own_view("verify", {"body": body}),), gate=900),
                ),
                packer=Packer("case-packer", 2, lanes=4, rows=6),
            ),
            Belt(
                "case",
                "case-outer",
                speed=600,
                pitch=500,
                length=2600,
                stations=_labelling("case", "case-outer", case, 2, content, view),
                packer=Packer("palletiser", 4, lanes=2, rows=2, strokes=2, views=layer),
            ),
            Belt(
                "pallet",
                "pallet",
                speed=600,
                pitch=1400,
                length=2600,
                stations=_labelling("pallet", "pallet", pallet, 4, None),
            ),
        ),
        foreign=foreign,
        campaign=campaign,
        first_number=first_number,
    )


def liquor(
    looks: Mapping[str, Look],
    supplies: Mapping[str, tuple[str, ...]],
    *,
    sequence: bool = False,
    seen: bool = False,
    foreign: tuple[str, ...] = (),
    campaign: tuple[str, ...] = (),
    first_number: int = 1,
) -> Layout:
    """Pre-printed bottles with a secret under the cap, one to a box, 6 boxes to a case, 4 cases
    to a pallet.

    `looks` by role and `supplies` (codes in the order they come) for cap-inner, body and box;
    `looks` also for case-outer and pallet. PLC stations: 0 cap camera (before the capper, no gate),
    1 body camera, 2 boxer, 3 box code, 4 case packer and content, 5 case label, 6 palletiser and
    layer, 7 pallet label. Printers: case-printer, pallet-printer. Cameras: cap, body, box,
    case-content, case-label, layer, pallet-label.
    """
    content = None if sequence else content_view("case-content", "box", looks["box"], 3, 2)
    layer = () if sequence else (content_view("layer", "case-outer", looks["case-outer"], 2, 1),)
    box, case = looks["box"], looks["case-outer"]
    view = glimpse("case-label", "case-outer", case, "box", box, 3) if seen else None
    cap = own_view("cap", {"cap-inner": looks["cap-inner"]}, caps=("cap-inner",))
    return Layout(
        belts=(
            Belt(
                "bottle",
                "body",
                speed=300,
                pitch=120,
                length=1800,
                stations=(
                    Preprinted("glue", 10, "body", "body"),
                    Camera("cap", 200, 0, (cap,)),
                    Capper("capper", 500, "cap-inner", "cap-inner", heads=8),
                    Camera("body", 800, 1, (own_view("body", {"body": looks["body"]}),), gate=1300),
                ),
                packer=Packer("boxer", 2, lanes=1, rows=1),
            ),
            Belt(
                "box",
                "box",
                speed=400,
                pitch=200,
                length=1500,
                stations=(
                    Preprinted("box-print", 10, "box", "box"),
                    Camera("box", 300, 3, (own_view("box", {"box": looks["box"]}),), gate=900),
                ),
                packer=Packer("case-packer", 4, lanes=3, rows=2),
            ),
            Belt(
                "case",
                "case-outer",
                speed=600,
                pitch=500,
                length=2600,
                stations=_labelling("case", "case-outer", case, 4, content, view),
                packer=Packer("palletiser", 6, lanes=2, rows=1, strokes=2, views=layer),
            ),
            Belt(
                "pallet",
                "pallet",
                speed=600,
                pitch=1400,
                length=2600,
                stations=_labelling("pallet", "pallet", looks["pallet"], 6, None),
            ),
        ),
        supplies=dict(supplies),
        roll=ROLL,
        foreign=foreign,
        campaign=campaign,
        first_number=first_number,
    )
