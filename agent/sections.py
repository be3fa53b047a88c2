"""What a site file may say: its sections, and what each of them is to the core.

A section is checked by itself here; what several say together is for agent.site_rules.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.core.plan import Limits, LinePlan, Path, PathKind, ReaderPlan, Station
from agent.core.scheme import LevelSpec, PackingScheme, Product

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$")]
Names = dict[Literal["zh", "en"], Annotated[str, Field(max_length=64)]]
Where = tuple[str | int, ...]
Fraction = Annotated[float, Field(ge=0, le=100)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentSection(_Section):
    """`data` is the state directory, relative to the file; it holds the database and its key."""

    id: Name
    data: str = "var"


class LanSection(_Section):
    """What PDAs reach from the network: their app and API by https, and nothing else.

    `names` are the host names and addresses by which they reach it, the first of them for the QR
    of an enrolment; they stand in the certificate. `cert` and `key` are PEM files relative to the
    site file, for a certificate that is not the site's own (`caselink tls init`). `setup_port`
    serves /setup by plain http (0 = not at all): how a PDA comes to trust the certificate.
    `open_query`: devices that are not enrolled may ask what a code is, if there is one party only.
    """

    host: Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]{2,45}$")] = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    names: Annotated[tuple[HostName, ...], Field(min_length=1, max_length=16)]
    cert: str = ""
    key: str = ""
    setup_port: Annotated[int, Field(ge=0, le=65535)] = 0
    open_query: bool = True


class WebSection(_Section):
    """The panel and the PDA's app on this machine: only loopback hosts, for the panel has no user
    log-in. `lan` is what the network sees."""

    host: Literal["127.0.0.1", "localhost", "::1"] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    lan: LanSection | None = None


class SyncSection(_Section):
    """The way to the cloud; without this section the journal is only kept.

    `url` is mqtts://host[:8883], or mqtt://host[:1883] within one machine or a guarded network.
    `ca`, `cert` and `key` are PEM files, relative to the site file: who signed the broker, and who
    we are. `tenant` and `site` are our place in topics and names; `base` is where names of our own
    begin, `namespace` what our own fields of events belong to, `offset` our distance from UTC.
    Acknowledged rows older than `keep_days` move to archive files (0 = never).
    """

    url: Annotated[str, Field(pattern=r"^mqtts?://[^/\s]{1,255}/?$")]
    tenant: Name
    site: Name
    ca: str = ""
    cert: str = ""
    key: str = ""
    base: Annotated[str, Field(pattern=r"^https?://[^\s]{1,255}[^/\s]$")] = (
        "https://id.caselink.example"
    )
    namespace: Annotated[str, Field(pattern=r"^https?://[^\s]{1,255}/$")] = (
        "https://ns.caselink.example/v1/"
    )
    offset: Annotated[str, Field(pattern=r"^[+-](0\d|1[0-4]):[0-5]\d$")] = "+08:00"
    keep_days: Annotated[int, Field(ge=0, le=36_500)] = 400


Pieces = Annotated[int, Field(ge=1, le=1_000_000)]
Place = Annotated[str, Field(pattern=r"^[^\x00-\x1f/]{1,64}$")]
Channel = Literal["distribution", "key_accounts", "e_commerce", "own_stores"]


class ProductSection(_Section):
    """`units` says how many pieces a full unit of a level holds, where no packing scheme does."""

    names: Names
    gtin: Annotated[str, Field(pattern=r"^(\d{8}|\d{12,14})?$")] = ""
    units: dict[Name, Pieces] = {}


class PartySection(_Section):
    """Somebody who owns or gets goods, and where and how they may sell them (empty: anywhere)."""

    names: Names = {}
    kind: Literal["factory", "dealer", "sub_dealer", "shop"] = "dealer"
    territories: Annotated[tuple[Place, ...], Field(max_length=2_000)] = ()
    channels: tuple[Channel, ...] = ()


class WarehouseSection(_Section):
    """A party's warehouse; the units that lines of this agent make are in the first one's record.

    `locations` are its places, the first where goods come to if nobody says where.
    `ship_without_order`: goods may leave without a dispatch order. `older_first`: what happens when
    older stock of a product is there. An ASN that nobody scanned for `unscanned_days` counts as
    received (0 = never); one is accepted whole after `samples` of its units were scanned.
    `slip` is the label printer for documents' slips, with a label `slip` (config/labels).
    """

    party: Name
    names: Names = {}
    locations: Annotated[tuple[Place, ...], Field(min_length=1, max_length=10_000)]
    ship_without_order: bool = True
    older_first: Literal["off", "warn", "block"] = "warn"
    unscanned_days: Annotated[int, Field(ge=0, le=365)] = 3
    samples: Annotated[int, Field(ge=1, le=1_000)] = 1
    slip: str = ""


class LevelSection(_Section):
    name: Name
    primary: Name
    roles: tuple[Name, ...]
    optional: tuple[Name, ...] = ()
    secret: tuple[Name, ...] = ()
    children: Annotated[int, Field(ge=0, le=10_000)] = 0
    unknown: Annotated[int, Field(ge=0)] = 0
    layer: Annotated[int, Field(ge=0)] = 0


class SchemeSection(_Section):
    mixed_lots: Literal["allow", "close_partial"] = "close_partial"
    levels: tuple[LevelSection, ...]


class EvidenceSection(_Section):
    """Pictures that a camera leaves on disk: every `failed` read, every `good_every`-th good one
    (0 = none), at most `megabytes`, none older than `days`. A camera of a secret role keeps none
    unless `secret` says so: whoever can read the file can read the code."""

    failed: bool = True
    good_every: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    megabytes: Annotated[int, Field(ge=1, le=100_000)] = 100
    days: Annotated[float, Field(gt=0, le=3650)] = 14.0
    quality: Annotated[int, Field(ge=30, le=100)] = 85
    secret: bool = False


class QualitySection(_Section):
    """The quality index of what a camera reads: every `every`-th good frame is measured (0 = none)
    and each that was hard to read; an alarm is raised when an index, smoothed over about `window`
    of these, falls below the letter `limit` ("" = never). `white` is the grey value that counts as
    full reflectance."""

    every: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    limit: Literal["A", "B", "C", "D", ""] = "C"
    window: Annotated[int, Field(ge=1, le=10_000)] = 20
    white: Annotated[int, Field(ge=1, le=255)] = 255


class ReaderSection(_Section):
    """A camera (give its symbology) or a code reader at a station.

    `region` is x, y, width, height in pixels; `grid` is rows, columns of a content picture, `cells`
    where each of its places is, in grid order, as fractions of the region (x, y, width, height);
    `attempts` another order of reading than the symbology's; `pitch` the size of a module or of the
    narrowest bar in pixels; `track` how far, as a share of the frame, the symbol may be off the
    middle of the region (0 = the region is all). `caselink vision tune` finds them. `evidence` are
    the pictures that it leaves on disk, `quality` how well the codes are printed.
    """

    device: Name
    roles: tuple[Name, ...]
    loose: bool = False
    symbology: str = ""
    region: tuple[int, int, int, int] | None = None
    grid: tuple[int, int] | None = None
    cells: Annotated[tuple[tuple[float, float, float, float], ...], Field(max_length=256)] = ()
    attempts: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    track: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    pitch: Annotated[float, Field(ge=0.5, le=200)] | None = None
    evidence: EvidenceSection = EvidenceSection()
    quality: QualitySection = QualitySection()


class ScannerSection(_Section):
    """A hand scanner with which people scan containers of a station: `by` is who does until a label
    says so, `pause_s` the seconds without a code that end a scan."""

    device: Name
    by: str = Field("", max_length=64)
    pause_s: Annotated[float, Field(ge=0.5, le=60)] = 3.0


class StationSection(_Section):
    """`deadline_ms` runs from the trigger to the verdict; without an answer by then it is late.
    `interlock`: the PLC lets one signal to the printer through for each code. `unseen_after`: how
    many things fit between printer and reader, with a margin; a printed code that was not read when
    so many later ones were will not come any more."""

    id: Name
    index: Annotated[int, Field(ge=0, le=15)]
    kind: Literal["print", "verify", "pack", "label"]
    level: Name
    role: str = ""
    printer: str = ""
    template: str = ""
    readers: tuple[ReaderSection, ...] = ()
    scanners: Annotated[tuple[ScannerSection, ...], Field(max_length=4)] = ()
    gate: bool = True
    mode: Literal["multi_read", "sequence"] = "multi_read"
    lanes: Annotated[int, Field(ge=1, le=8)] = 1
    window: Annotated[int, Field(ge=1, le=1000)] = 8
    interlock: bool = False
    unseen_after: Annotated[int, Field(ge=4, le=10_000)] = 256
    anchor_every: Annotated[int, Field(ge=0, le=480)] | None = None
    deadline_ms: Annotated[int, Field(ge=10, le=10_000)] = 150


class PathSection(_Section):
    source: Name = Field(alias="from")
    target: Name = Field(alias="to")
    kind: PathKind


class SpeedSection(_Section):
    """The normal band in units per minute, for the panel."""

    low: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(gt=0)]


class LimitsSection(_Section):
    """`reject_pct` and `no_read_pct` colour the panel; after `rejects_in_a_row` at one station
    (0 = never) the line stops until a person starts it; a bypass lasts at most `bypass_minutes`
    (0 = there is none)."""

    reject_pct: Fraction = 0.5
    no_read_pct: Fraction = 0.2
    rejects_in_a_row: Annotated[int, Field(ge=0, le=1000)] = 5
    bypass_minutes: Annotated[int, Field(ge=0, le=480)] = 60


class LineSection(_Section):
    id: Name
    names: Names = {}
    plc: Name
    stations: Annotated[tuple[StationSection, ...], Field(min_length=1)]
    paths: tuple[PathSection, ...] = ()
    speed: SpeedSection | None = None
    limits: LimitsSection = LimitsSection()
    anchor_every: Annotated[int, Field(ge=0, le=60)] = 20
    creeps: bool = True
    clearance: Literal["required", "none"] = "required"

    def plan(self) -> LinePlan:
        """The line as the core sees it."""
        return LinePlan(
            self.id,
            tuple(
                Station(
                    id=s.id,
                    index=s.index,
                    kind=s.kind,
                    level=s.level,
                    readers=tuple(ReaderPlan(r.device, r.roles, r.loose) for r in s.readers),
                    gate=s.gate,
                    device=s.printer,
                    role=s.role,
                    mode=s.mode,
                    lanes=s.lanes,
                    window=s.window,
                    anchor_every=s.anchor_every,
                    unseen_after=s.unseen_after,
                )
                for s in self.stations
            ),
            tuple(Path(p.source, p.target, p.kind) for p in self.paths),
            Limits(self.limits.rejects_in_a_row, 60 * self.limits.bypass_minutes),
            self.anchor_every,
            self.creeps,
            self.clearance == "required",
        )


class Site(_Section):
    """The whole file. `devices` maps a name to a section with a `type` of the driver registry."""

    agent: AgentSection
    web: WebSection = WebSection()
    sync: SyncSection | None = None
    products: dict[Name, ProductSection] = {}
    schemes: dict[Name, SchemeSection] = {}
    devices: dict[Name, dict[str, Any]] = {}
    lines: tuple[LineSection, ...] = ()
    parties: dict[Name, PartySection] = {}
    warehouse: Annotated[tuple[WarehouseSection, ...], Field(max_length=1_000)] = ()

    @property
    def offset_ms(self) -> int:
        """How far the site's clocks are from UTC: a day begins by them."""
        text = SyncSection.model_fields["offset"].default if self.sync is None else self.sync.offset
        minutes = 60 * int(text[1:3]) + int(text[4:6])
        return (-1 if text[0] == "-" else 1) * minutes * 60_000

    def pieces(self, sku: str, level: str) -> int | None:
        """Units of the lowest level that a full unit of this level holds; None if the file does not
        say, or says different things."""
        product = self.products.get(sku)
        if product is not None and level in product.units:
            return product.units[level]
        found = set()
        for section in self.schemes.values():
            many = 1
            for each in section.levels:
                many *= each.children or 1
                if each.name == level:
                    found.add(many)
        return found.pop() if len(found) == 1 else None

    def scheme(self, name: str) -> PackingScheme:
        """A packing scheme of the file; KeyError if there is none of that name."""
        section = self.schemes[name]
        return PackingScheme(
            name,
            tuple(LevelSpec(**level.model_dump()) for level in section.levels),
            section.mixed_lots,
        )

    def product(self, sku: str) -> Product:
        """A product of the file; KeyError if there is none of that number."""
        section = self.products[sku]
        return Product(sku, {str(tag): name for tag, name in section.names.items()}, section.gtin)
