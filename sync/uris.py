"""Names of things in events: every code, unit, place and person as one URI.

A code keeps its own text where that is a URI (a URL code, a GS1 Digital Link); the key of a thing
at the cloud is the hash of this text, so one code must have one URI for ever. A secret code is
named by its pool and position. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from agent.core.gs1 import check_digit

BASE = "https://id.caselink.example"
NAMESPACE = "https://ns.caselink.example/v1/"

_URI = re.compile(r"[a-z][a-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_DIGITAL_LINK = re.compile(r"/(01/\d{14}|00/\d{18})(?=[/?#]|$)")
"""What any reader of events takes for a GS1 Digital Link, whatever the host."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks. `base` is where names of our own begin, `namespace` what the prefix `x` stands
    for, `offset` the agent's distance from UTC as events write it, `gtins` the GTIN of a product
    number where it has one."""

    tenant: str
    site: str
    agent: str
    base: str = BASE
    namespace: str = NAMESPACE
    offset: str = "+08:00"
    gtins: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The agent as envelopes and topics name it."""
        return f"{self.tenant}/{self.site}/{self.agent}"

    def own(self, *parts: str) -> str:
        """A URI of our own; the parts may be any text."""
        return "/".join((self.base, *(quote(part, safe="") for part in parts)))

    def code(self, text: str) -> str:
        """The URI of a canonical code text that may be shown."""
        if _URI.fullmatch(text) and wrong_digital_link(text) is None:
            return text
        return self.own("code", text)

    def secret(self, pool: str, role: str, position: int) -> str:
        """The URI of a code that must not be shown."""
        return self.own("pool", pool, role, str(position))

    def column(self, pool: str, role: str) -> str:
        """The class of all codes of one column of a pool."""
        return self.own("pool", pool, role)

    def unit(self, unit: int) -> str:
        """A unit that bears no code."""
        return self.own("unit", self.tenant, self.site, self.agent, str(unit))

    def product(self, sku: str) -> str:
        """The class of a product: its Digital Link where it has a GTIN."""
        gtin = self.gtins.get(sku, "")
        return f"https://id.gs1.org/01/{gtin:0>14}" if gtin else self.own("product", sku)

    def lot(self, sku: str, lot: str) -> str:
        """The class of a lot of a product."""
        return f"{self.product(sku)}/10/{quote(lot, safe='')}"


def wrong_digital_link(uri: str) -> str | None:
    """The part of a URI that reads as a GTIN or an SSCC and has a wrong check digit, or None."""
    for found in _DIGITAL_LINK.findall(uri):
        digits = found[3:]
        if check_digit(digits[:-1]) != digits[-1]:
            return str(found)
    return None
