"""The demonstration's story of one pallet: shipped by a PDA at the factory, received offline at a
dealer's agent, and one case of it diverted to a dealer who is on the hosted agent.

It plays people and devices and decides nothing; at its end the cloud is asked for the whole way of
every bottle of the pallet.
"""

import json
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import tomli_w
from rich.table import Table

from agent import config as site_config
from agent.app import Files
from agent.core.errors import TransientError
from agent.demo.cloudend import SITE, TENANT, CloudEnd
from agent.demo.pda import Pda
from agent.demo.process import Child, Mortal
from agent.demo.scene import SCENES
from agent.services.devices import ALLOWED
from agent.services.pins import Pins
from agent.services.users import Users
from drivers.shipped import CONFIG

T = TypeVar("T")

PRODUCT = "COLA-500"
UNITS: Mapping[str, int] = {"case": 24, "pallet": 192}
FACTORY, DEALER, OTHER = "F01", "D01", "D02"
"""The factory, the dealer it ships to, and the one who gets a case that is not for him."""
TERRITORIES = {DEALER: "north", OTHER: "south"}
DEALER_AGENT, HOSTED_AGENT = "dealer-1", "hosted-1"
DISPATCH = "DO-1"
BADGE, PIN = "K1", "284615"
START_SECONDS = 40.0
WAIT_SECONDS = 60.0
"""What a document, an alarm or an answer gets to travel."""
PARTIES: Mapping[str, Mapping[str, Any]] = {
    FACTORY: {"names": {"zh": "一号工厂", "en": "Factory 1"}, "kind": "factory"},
    DEALER: {
        "names": {"zh": "北方经销商", "en": "North Dealer"},
        "kind": "dealer",
        "territories": [TERRITORIES[DEALER]],
        "channels": ["distribution"],
    },
    OTHER: {
        "names": {"zh": "南方经销商", "en": "South Dealer"},
        "kind": "dealer",
        "territories": [TERRITORIES[OTHER]],
        "channels": ["distribution"],
    },
}


def books(*parties: str) -> dict[str, Any]:
    """Sections of a site file: everybody who gets goods, and whose warehouses the agent keeps."""
    kept = [
        {"party": party, "names": dict(PARTIES[party]["names"]), "locations": ["DOCK", "A-01"]}
        for party in parties or (FACTORY,)
    ]
    return {
        "parties": {key: dict(value) for key, value in PARTIES.items()},
        "warehouse": kept,
    }


def whole_pallet(
    containers: Iterable[Mapping[str, Any]],
) -> tuple[str, dict[str, list[str]]] | None:
    """The first pallet whose content is proven down to the bottle: its code, its cases and their
    bottles; None if there is none."""
    cases: dict[str, list[str]] = {}
    pallets: dict[str, list[str]] = {}
    for each in containers:
        code, children = each["code"], each["children"]
        sound = each["integrity"] == "proven" and each["state"] != "rejected"
        if sound and not each["doubtful"] and code is not None and None not in children:
            (cases if each["level"] == "case" else pallets)[code] = children
    for code, children in pallets.items():
        held = {child: cases[child] for child in children if child in cases}
        if sum(map(len, held.values())) == UNITS["pallet"]:
            return code, held
    return None


@dataclass
class Told:
    """What became of the pallet: of its `bottles` so many are `answered` by the cloud with their
    whole way; `shipment` is the state of the one to the dealer, `diversions` what the cloud says of
    the case (state and goods)."""

    pallet: str = ""
    diverted: str = ""
    bottles: int = 0
    answered: int = 0
    shipment: str = ""
    diversions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        alarms = [f"open: {self.diverted}"]
        whole = bool(self.bottles) and self.bottles == self.answered
        return whole and self.shipment == "closed" and self.diversions == alarms

    def data(self) -> dict[str, Any]:
        """For --json."""
        return {
            "pallet": self.pallet,
            "diverted": self.diverted,
            "bottles": self.bottles,
            "answered": self.answered,
            "shipment": self.shipment,
            "diversions": self.diversions,
            "notes": self.notes,
            "good": self.good,
        }

    def table(self) -> Table:
        """For a person."""
        table = Table(title="One pallet's way")
        table.add_column("what")
        table.add_column("answer")
        table.add_row("pallet", self.pallet)
        table.add_row("bottles with their whole way", f"{self.answered} of {self.bottles}")
        table.add_row("shipment to the dealer", self.shipment)
        table.add_row("diversions", ", ".join(self.diversions) or "none")
        for note in self.notes:
            table.add_row("note", note)
        return table


class Site:
    """An agent without a line: a warehouse's own, or the hosted one."""

    def __init__(self, folder: Path, name: str, parties: Sequence[str], cloud: CloudEnd) -> None:
        scene = tomllib.loads((CONFIG / SCENES["bottling"].file).read_text("utf-8"))
        self.name = name
        self.config = folder / f"{name}.toml"
        text: dict[str, Any] = {
            "agent": {"id": name, "data": f"var-{name}"},
            "web": {"port": 0},
            "sync": dict(cloud.sync),
            "products": {PRODUCT: {**scene["products"][PRODUCT], "units": dict(UNITS)}},
            **books(*parties),
        }
        self.config.write_text(tomli_w.dumps(text), "utf-8")
        self._agent: Mortal | None = None

    def begin(self, stack: ExitStack, start: Callable[[list[str], str], Child]) -> None:
        """Start it; the stack ends it."""
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(self.config)]
        agent = self._agent = Mortal(lambda: start(command, self.name))
        stack.callback(agent.end)

    def client(self) -> httpx.Client:
        """Speaks to it as its own machine's command line does."""
        assert self._agent is not None
        return local_client(self.config, self._agent)


def local_client(config: Path, agent: Mortal) -> httpx.Client:
    """Speaks to an agent as its own machine's command line does."""
    base = agent.panel(START_SECONDS)
    token = Files(site_config.load(config), config).token.read_text("ascii").strip()
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=base, headers=headers, timeout=20.0)


def until(look: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
    """What `look` finds, once it finds something. TransientError: it did not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise TransientError(f"{what} did not come within {seconds:.0f} s.")


class Story:
    """Plays it. `say` tells a person how far it is; `start` starts a process and names its log;
    `factory` speaks to the factory's agent, whose site file is `config`."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        cloud: CloudEnd,
        start: Callable[[list[str], str], Child],
        factory: Callable[[], httpx.Client],
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._factory_name = site_config.load(config).agent.id
        self._cloud = cloud
        self._start = start
        self._factory = factory
        self._say = say
        self.dealer = Site(folder, DEALER_AGENT, [DEALER], cloud)
        self.hosted = Site(folder, HOSTED_AGENT, [OTHER], cloud)

    def begin(self, stack: ExitStack) -> None:
        """Start the agents of the two dealers."""
        for site in (self.dealer, self.hosted):
            site.begin(stack, self._start)

    def _meet(self) -> None:
        """Say at the cloud whose books each agent keeps; it must have heard of them all."""
        agents = {FACTORY: self._factory_name, DEALER: DEALER_AGENT, OTHER: HOSTED_AGENT}
        names = {party: f"{TENANT}/{SITE}/{agent}" for party, agent in agents.items()}
        with self._cloud.asking() as ask:

            def known() -> bool:
                rows = ask.get("/agents")["agents"]
                return set(names.values()) <= {each["agent"] for each in rows}

            until(known, "The word of every agent at the cloud")
            for party, agent in names.items():
                ask.tell("PUT", f"/parties/{party}", {"agent": agent})
            line = {"product": PRODUCT, "level": "pallet", "quantity": 1}
            order = {"number": DISPATCH, "party": DEALER, "sender": FACTORY, "lines": [line]}
            wish = {"kind": "dispatch", "body": order, "id": f"demo-{DISPATCH}"}
            ask.tell("POST", f"/agents/{names[FACTORY]}/commands", wish)

    def play(self, pallet: str, cases: Mapping[str, Sequence[str]]) -> Told:
        """Ship a pallet that holds these cases of these bottles, and follow it."""
        diverted = next(iter(cases))
        told = Told(pallet=pallet, diverted=diverted, bottles=sum(map(len, cases.values())))
        self._meet()
        with ExitStack() as stack:
            factory = self._pda(stack, self._factory, self._config, FACTORY)
            dealer = self._pda(stack, self.dealer.client, self.dealer.config, DEALER)
            other = self._pda(stack, self.hosted.client, self.hosted.config, OTHER)
            self._ship(factory, pallet, len(cases))
            number = self._receive(dealer, pallet)
            self._divert(other, diverted)
            self._say(f"{number} is received; case {diverted} turned up at {OTHER}.")
            self._follow(told, cases)
        return told

    def invitation(self) -> str:
        """Where a person can be the dealer's keeper, in the next minutes."""
        with self.dealer.client() as client:
            shown = _invite(client, DEALER, "Your PDA")
        return (
            f"Be the dealer's keeper: open {shown} and log in with badge {BADGE}, PIN {PIN}. "
            f"The dealer's own panel: {self.dealer.client().base_url}."
        )

    def _pda(
        self, stack: ExitStack, client: Callable[[], httpx.Client], config: Path, party: str
    ) -> Pda:
        """A device of the party, with its keeper logged in."""
        keeper(config)
        local = stack.enter_context(client())
        name = f"PDA of {party}"
        address = _invite(local, party, name)
        bare = stack.enter_context(httpx.Client(base_url=local.base_url))
        pda = Pda.enrol(bare, enrolment(address), name)
        pda.log_in(BADGE, PIN)
        return pda

    def _ship(self, pda: Pda, pallet: str, cases: int) -> None:
        """The factory's keeper ships the pallet against the dispatch order that the cloud sent."""
        until(lambda: _document(pda, DISPATCH), f"Dispatch order {DISPATCH}")
        pda.scan(DISPATCH, pallet)
        _counted(pda.upload())
        pda.item("close", DISPATCH)
        _counted(pda.upload())
        self._say(f"Pallet {pallet} with {cases} cases is shipped to {DEALER}.")

    def _receive(self, pda: Pda, pallet: str) -> str:
        """The dealer's keeper receives it without a network and comes back to it later."""
        asn = until(lambda: _receipt(pda), "The dispatch advice at the dealer")
        number = str(asn["number"])
        goods = pda.get(f"/documents/{number}/goods")["goods"]
        self._say(f"The dealer's PDA knows what {number} holds: {len(goods)} units.")
        pda.scan(number, pallet)
        pda.item("close", number)
        _counted(pda.upload())
        return number

    def _divert(self, pda: Pda, case: str) -> None:
        """The other dealer takes a case in that nobody has sent to him."""
        opened = pda.item("open", "", body={"kind": "receive", "location": "DOCK", "blind": True})
        more = {"product": PRODUCT, "level": "case", "pieces": 24}
        pda.scan(opened["document"], case, body=more)
        pda.item("close", opened["document"])
        _counted(pda.upload())

    def _follow(self, told: Told, cases: Mapping[str, Sequence[str]]) -> None:
        """Ask the cloud for the alarm, for what became of the shipment, and for the way of every
        bottle."""
        with self._cloud.asking() as ask:

            def alarmed() -> Sequence[Mapping[str, Any]]:
                found: Sequence[Mapping[str, Any]] = ask.get("/diversions")["diversions"]
                return found

            def arrived() -> str:
                found = ask.get("/shipments", party=DEALER)["shipments"]
                return next((str(each["state"]) for each in found if each["state"] != "open"), "")

            for each in until(alarmed, "The alarm of a diversion"):
                units = ", ".join(str(unit["unit"]) for unit in each["units"])
                told.diversions.append(f"{each['state']}: {units}")
            told.shipment = until(arrived, f"The end of shipment {DISPATCH}")
            for case, bottles in cases.items():
                way = [(case, ""), (told.pallet, "")]
                way += [("shipping", self._factory_name), ("receiving", DEALER_AGENT)]
                if case == told.diverted:
                    # He said that it came alone; where the pallet is, he does not know.
                    way[1] = ("receiving", HOSTED_AGENT)
                for bottle in bottles:
                    missing = _missing(ask.trace(bottle), way)
                    told.notes += [
                        f"{bottle}: {each} is not in what the cloud says" for each in missing
                    ]
                    told.answered += not missing


def _missing(answer: Mapping[str, Any], way: Iterable[tuple[str, str]]) -> list[str]:
    """What the cloud does not say of the way of a bottle: the containers around it, and what was
    done at which agent."""
    said = {(str(each["code"]), "") for each in answer.get("up", ())}
    for each in answer.get("history", ()):
        said.add((str(each.get("bizStep")), str(each["agent"]).rsplit("/", 1)[-1]))
    return [" ".join(each).strip() for each in way if each not in said]


def keeper(config: Path) -> None:
    """Let the keeper of an agent's warehouse scan."""
    files = Files(site_config.load(config), config)
    users = Users(files.users, Pins(files.badges, files.pepper), ALLOWED)
    users.add(BADGE, "Keeper", "supervisor", (), PIN)


def enrolment(text: str) -> str:
    """The code in the address that a PDA scans on the panel."""
    return text.split("#enrol=", 1)[1].split("&", 1)[0]


def _invite(client: httpx.Client, party: str, name: str) -> str:
    """The address that a new PDA of the party opens."""
    wanted = {"name": name, "party": party, "operations": list(ALLOWED), "by": "demo"}
    return str(_ok(client.post("/api/local/devices/enrol", json=wanted))["text"])


def _ok(answer: httpx.Response) -> Any:
    if not answer.is_success:
        raise TransientError(f"{answer.request.url}: {answer.text}")
    return answer.json()


def _document(pda: Pda, number: str) -> Mapping[str, Any] | None:
    found: Sequence[Mapping[str, Any]] = pda.get("/documents")["documents"]
    return next((each for each in found if each["number"] == number), None)


def _receipt(pda: Pda) -> Mapping[str, Any] | None:
    found: Sequence[Mapping[str, Any]] = pda.get("/documents")["documents"]
    return next((each for each in found if each["kind"] == "receive"), None)


def _counted(results: Sequence[Mapping[str, Any]]) -> None:
    for result in results:
        if result["severity"] not in {"ok", "warn"}:
            raise TransientError(f"An item of a PDA was answered {json.dumps(result)}.")
