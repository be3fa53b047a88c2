"""What a PDA says and is told under /api/pda/v1: the models of docs/pda-api.md."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.services.uploads import MOST

LONGEST_TEXT = 16_384
"""Characters of a scanned text. A code has at most 512; what is longer is answered, not refused,
so that a queue never gets stuck on it."""
_Time = Annotated[int, Field(ge=0, le=1 << 53, examples=[1763703600000])]
_Short = Annotated[str, Field(max_length=64)]
_Word = Annotated[str, Field(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Told(BaseModel):
    model_config = ConfigDict(extra="allow")


class Refused(BaseModel):
    """A refusal: a stable word, and what happened and what to do now in the caller's language."""

    reason: Annotated[str, Field(examples=["not_enrolled"])]
    message: str
    upto: Annotated[int | None, Field(description="of `rewind`: the last item that is done")] = None


class Jwk(BaseModel):
    """A public key on P-256 (RFC 7517) as WebCrypto exports it; other members are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    kty: Annotated[str, Field(max_length=16, examples=["EC"])]
    crv: Annotated[str, Field(max_length=16, examples=["P-256"])]
    x: Annotated[
        str, Field(max_length=64, examples=["MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"])
    ]
    y: Annotated[
        str, Field(max_length=64, examples=["4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"])
    ]
    d: Annotated[str, Field(max_length=64, description="never: the private part")] = ""

    def public(self) -> dict[str, str]:
        """As signing.key_of takes it."""
        return self.model_dump(exclude=set() if self.d else {"d"})


class EnrolBody(_Body):
    """The code that the panel showed, and the device's public key."""

    code: Annotated[str, Field(min_length=1, max_length=64, examples=["mZ0nI4hX7Qy3vB8kT2cWpA"])]
    key: Jwk
    name: Annotated[str, Field(max_length=64, description="what the device calls itself")] = ""
    model: Annotated[str, Field(max_length=64, examples=["CT58"])] = ""


class EnrolledTold(_Told):
    device: Annotated[str, Field(examples=["K7Q2M9XD"])]
    token: str
    party: Annotated[str, Field(examples=["F01"])]
    locations: Annotated[list[str], Field(description="empty = all of the party's")]
    operations: list[str]
    server: int


class LoginBody(_Body):
    badge: Annotated[str, Field(min_length=1, max_length=64, examples=["1007"])]
    pin: Annotated[str, Field(min_length=1, max_length=64, examples=["480217"])]


class LoginTold(_Told):
    session: str
    badge: str
    name: str
    role: Literal["operator", "supervisor", "admin"]
    operations: Annotated[list[str], Field(description="on this device")]
    until: Annotated[int, Field(description="ms by the server's clock; compare with `server`")]
    server: int


class ItemBody(_Body):
    """One thing that was done on the device, signed when it was done."""

    seq: Annotated[int, Field(ge=1, le=1 << 53)]
    id: Annotated[str, Field(min_length=1, max_length=64)]
    do: Annotated[str, Field(min_length=1, max_length=32, examples=["scan"])]
    document: _Short = ""
    text: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    remove: bool = False
    answer: _Word = ""
    reason: _Word = ""
    condition: _Short = ""
    body: dict[str, Any] = {}
    at: _Time
    by: _Short = ""
    sig: Annotated[str, Field(max_length=128)]


class ItemsBody(_Body):
    items: Annotated[list[ItemBody], Field(max_length=MOST)]
    now: _Time


class ResultTold(_Told):
    seq: int
    verdict: Annotated[str, Field(examples=["accepted"])]
    severity: Literal["ok", "warn", "again", "ask", "stop"]
    args: dict[str, Any]
    replayed: bool


class ItemsTold(_Told):
    upto: int
    server: int
    results: list[ResultTold]


class QueryBody(_Body):
    text: Annotated[
        str, Field(min_length=1, max_length=LONGEST_TEXT, examples=["https://q.example.cn/A70001"])
    ]


class Time(_Told):
    server: int


class Documents(_Told):
    documents: list[dict[str, Any]]
    locations: list[str]


class Products(_Told):
    products: list[dict[str, Any]]


class Parties(_Told):
    parties: list[dict[str, Any]]


class Stock(_Told):
    stock: list[dict[str, Any]]


class Exceptions(_Told):
    exceptions: list[dict[str, Any]]
