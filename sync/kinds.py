"""What the cloud may ask of an agent: one model for each kind of command, all sizes capped.

Both ends check with these: the cloud before it sends, the agent before it applies. A field that an
agent does not know is refused, not passed over: it would do something else than was asked.
"""

from typing import Annotated, Any, Literal

import msgspec
import zstandard

from agent.core.errors import DomainError
from agent.core.gs1 import check_digit
from agent.core.poolfile import Declared
from sync.envelope import Limits, Refused, unpack
from sync.parts import MOST_BYTES, PART

MOST_JSON = 1_000_000
"""Bytes of a command that is not a pool."""
POOL_BYTES = 256 << 20
"""Bytes of a pool file and its heading, unpacked."""
MOST_GOODS = 300_000
"""Units that one ASN may tell of."""
GOODS_BYTES = 128 << 20
"""Bytes of an ASN, unpacked."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f/]{1,64}$(?!\n)")]
Maybe = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{0,64}$(?!\n)")]
Words = Annotated[str, msgspec.Meta(max_length=200)]
Names = dict[Literal["zh", "en"], Annotated[str, msgspec.Meta(max_length=64)]]
Date = Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d\d-\d\d)?$(?!\n)")]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")]


class _Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Pool(_Model, frozen=True):
    """The heading of a pool: what is declared of the file that follows it, or its `rule` (PREFIX or
    CHECK:PREFIX; nothing follows). `sha256` is that of the file."""

    name: Name
    level: Name
    roles: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=32)]
    secret: Annotated[list[Name], msgspec.Meta(max_length=32)] = []
    product: Maybe = ""
    campaign: Maybe = ""
    lot: Maybe = ""
    scope: Literal["agent", "plant", "brand"] = "agent"
    preprinted: bool = False
    count: Annotated[int, msgspec.Meta(ge=1, le=5_000_000)] | None = None
    sha256: Hex = ""
    gs1: bool | None = None
    rule: Annotated[str, msgspec.Meta(max_length=512)] = ""

    def declared(self) -> Declared:
        """As the reader of pool files wants it. DomainError: it cannot be declared so."""
        said = {name: getattr(self, name) for name in self.__struct_fields__ if name != "rule"}
        return Declared(**{**said, "roles": tuple(self.roles), "secret": tuple(self.secret)})


class Product(_Model, frozen=True):
    """A product; `gtin` "" = it has none. `withdrawn`: no new work orders."""

    sku: Name
    names: Names = {}
    gtin: Annotated[str, msgspec.Meta(pattern=r"^(\d{8}|\d{12,14})?$(?!\n)")] = ""
    withdrawn: bool = False


class Party(_Model, frozen=True):
    """A factory, dealer or shop: where it may sell, and by which channels."""

    id: Name
    kind: Literal["factory", "dealer", "sub_dealer", "shop"]
    names: Names = {}
    gln: Annotated[str, msgspec.Meta(pattern=r"^(\d{13})?$(?!\n)")] = ""
    parent: Maybe = ""
    territories: Annotated[list[Name], msgspec.Meta(max_length=2_000)] = []
    channels: list[Literal["distribution", "key_accounts", "e_commerce", "own_stores"]] = []
    withdrawn: bool = False


class Order(_Model, frozen=True):
    """A work order. `pools` maps "level/role" to the name of a pool; dates are ISO."""

    number: Name
    line: Name
    product: Name
    lot: Name
    scheme: Name
    target: Quantity
    pools: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=130)], Name], msgspec.Meta(max_length=64)
    ] = {}
    campaign: Maybe = ""
    produced: Date = ""
    expires: Date = ""


class Wanted(_Model, frozen=True):
    """So many of a product, counted in units of `level`."""

    product: Name
    level: Name
    quantity: Quantity
    lot: Maybe = ""


class Dispatch(_Model, frozen=True):
    """Goods to ship to a party; `purchase_order` and `advice` are the customer's and our papers.
    `territory` and `channel`: where and through whom they may be sold."""

    number: Name
    party: Name
    lines: Annotated[list[Wanted], msgspec.Meta(min_length=1, max_length=1_000)]
    sender: Maybe = ""
    purchase_order: Maybe = ""
    advice: Maybe = ""
    due: Date = ""
    withdrawn: bool = False
    territory: Maybe = ""
    channel: Literal["", "distribution", "key_accounts", "e_commerce", "own_stores"] = ""


class Coming(_Model, frozen=True, omit_defaults=True):
    """A unit on its way. Either `children` are the codes of what is directly in it, or each of
    these is told too, after it, with its code as `parent`. `pieces` are the units of the lowest
    level in it, `made` when it was commissioned (ms), `integrity` what the record of its content is
    worth, `codes` its other codes. `product` and `lot` are empty where its content is mixed."""

    code: Code
    level: Name
    product: Maybe = ""
    lot: Maybe = ""
    quantity: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    children: Annotated[list[Code], msgspec.Meta(max_length=2_000)] = []
    parent: Annotated[str, msgspec.Meta(max_length=512)] = ""
    expires: Date = ""
    made: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    pieces: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    integrity: Literal["", "proven", "anchored", "inferred", "incomplete"] = ""
    codes: Annotated[list[Code], msgspec.Meta(max_length=32)] = []


class Asn(_Model, frozen=True):
    """What is on its way to a warehouse, so that receiving can be checked without a network.
    `territory` and `channel` are those that it was shipped to. `withdrawn`: it does not come."""

    number: Name
    sender: Name
    units: Annotated[list[Coming], msgspec.Meta(min_length=1, max_length=MOST_GOODS)]
    receiver: Maybe = ""
    purchase_order: Maybe = ""
    withdrawn: bool = False
    territory: Maybe = ""
    channel: Maybe = ""


class Config(_Model, frozen=True):
    """A new site file (TOML), in effect at the agent's next start."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=900_000)]


class Resend(_Model, frozen=True, rename={"first": "from"}):
    """Send the journal again from this row on."""

    first: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]


class Revoke(_Model, frozen=True):
    """Nothing that this device signs is taken any more."""

    device: Name
    why: Words = ""


Asked = Product | Party | Order | Dispatch | Asn | Config | Resend | Revoke

KINDS: dict[str, type[Any]] = {
    "product": Product,
    "party": Party,
    "order": Order,
    "dispatch": Dispatch,
    "asn": Asn,
    "config": Config,
    "resend": Resend,
    "revoke": Revoke,
}
"""The model of each kind whose content is JSON; the other kind is "pool"."""

_ZSTD = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins (RFC 8878); no JSON does."""

_DECODERS = {kind: msgspec.json.Decoder(model).decode for kind, model in KINDS.items()}
_pool = msgspec.json.Decoder(Pool).decode


def parse(kind: str, content: bytes) -> Asked:
    """What a command asks. DomainError: its kind is not known, or it is not what its kind is."""
    decode = _DECODERS.get(kind)
    if decode is None:
        raise DomainError(
            "unknown_kind",
            f"This agent knows no command {kind}: update it, then send the command again.",
        )
    most = GOODS_BYTES if kind == "asn" else MOST_JSON
    if kind == "asn" and content.startswith(_ZSTD):
        plain = unpack(content, Limits(MOST_BYTES, GOODS_BYTES))
        if isinstance(plain, Refused):
            raise DomainError(f"command_{plain.reason}", plain.text)
        content = plain
    if len(content) > most:
        raise DomainError(
            "command_too_large",
            f"The {kind} has {len(content):,} bytes, at most {most:,} are taken: split it.",
        )
    try:
        content.decode()
        asked: Asked = decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(kind, str(error)) from None
    if isinstance(asked, Asn):
        _check_goods(asked)
    for what, digits in (("gtin", getattr(asked, "gtin", "")), ("gln", getattr(asked, "gln", ""))):
        if digits and check_digit(digits[:-1]) != digits[-1]:
            raise _malformed(kind, f"the check digit of {what} {digits} is wrong")
    return asked


def _check_goods(asn: Asn) -> None:
    """Each unit once, and after its parent."""
    there: set[str] = set()
    for each in asn.units:
        for code in (each.code, *each.children):
            if code in there:
                raise _malformed("asn", f"the code {code[:100]} is in it twice")
            there.add(code)
        if each.parent and (each.parent == each.code or each.parent not in there):
            raise _malformed("asn", f"{each.code[:100]} comes before what it is in")
    if len(there) > MOST_GOODS:
        raise _malformed("asn", f"it names {len(there):,} units, at most {MOST_GOODS:,} are taken")


def pack(kind: str, content: bytes) -> bytes:
    """The content of a command as it travels: a large ASN compressed. DomainError: too large."""
    if kind != "asn" or len(content) <= MOST_JSON:
        return content
    packed = zstandard.ZstdCompressor(level=6).compress(content)
    # One part that is not JSON would be taken for a command of an earlier form.
    chosen = packed if PART < len(packed) < len(content) else content
    if len(content) > GOODS_BYTES or len(chosen) > MOST_BYTES:
        raise DomainError(
            "command_too_large",
            f"The {kind} has {len(content):,} bytes, at most {GOODS_BYTES:,} are taken: split it.",
        )
    return chosen


def _malformed(kind: str, why: str) -> DomainError:
    return DomainError(
        "command_malformed",
        f"The {kind} was refused whole: {why}. Mend it and send it as a new command; if it is as "
        "it should be, update the agent first.",
    )


# ------------------------------------------------------------------------------------------ pools


def pack_pool(head: Pool, file: bytes) -> bytes:
    """A pool's heading and file, to be sealed. DomainError: more than an agent takes."""
    plain = msgspec.json.encode(head) + b"\n" + file
    packed = zstandard.ZstdCompressor(level=6).compress(plain) if len(plain) <= POOL_BYTES else b""
    if not packed or len(packed) > MOST_BYTES - 1024:
        raise DomainError(
            "pool_too_large",
            f"Pool {head.name} has {len(file):,} bytes, at most {POOL_BYTES:,} can be sent: "
            "split it.",
        )
    return packed


def unpack_pool(packed: bytes) -> tuple[Pool, bytes]:
    """Heading and file of a pool that was opened. DomainError: it is none, or far too large."""
    plain = unpack(packed, Limits(MOST_BYTES, POOL_BYTES))
    if isinstance(plain, Refused):
        raise DomainError(f"command_{plain.reason}", plain.text)
    head, _, file = plain.partition(b"\n")
    return heading(head), file


def heading(data: bytes) -> Pool:
    """The heading of a pool. DomainError: it is none."""
    if len(data) > MOST_JSON:
        raise _malformed("pool", "it has no heading")
    try:
        data.decode()
        return _pool(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed("pool", str(error)) from None


def about(agent: str, command: str) -> str:
    """What a sealed command is bound to: the agent (tenant/site/agent) and the command's id."""
    return f"{agent}/{command}"


POOL_REASONS = frozenset({"command_oversized", "command_bomb", "command_badly_compressed"})
"""Reasons that `unpack_pool` puts together."""
