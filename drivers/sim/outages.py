"""Devices that go away, start anew, or run out: the PLC's link, cameras, printers and coders."""

from collections.abc import Callable
from functools import partial

from drivers.sim.agenda import Agenda, Chance
from drivers.sim.floor import Floor
from drivers.sim.frames import Shutter
from drivers.sim.world import Machine

LINK_SECONDS = (0.3, 6.0)
CAMERA_SECONDS = (1.0, 20.0)
STUCK_SECONDS = (1.0, 5.0)
BOOT_SECONDS = (5.0, 15.0)
PRINTER_SECONDS = (1.0, 15.0)
REFILL_SECONDS = (5.0, 30.0)


class Outages:
    """The outages of one plant, in its agenda. `floor.away` names the devices that cannot be
    reached now: whoever connects plant and agent cuts their links."""

    def __init__(self, floor: Floor, agenda: Agenda) -> None:
        self._floor = floor
        self._agenda = agenda
        self._often("link_loss", "plc", self._link)
        for shutter in floor.shutters:
            name = shutter.camera
            self._often("camera_away", name, partial(self._dark, shutter))
            self._often("camera_reboot", name, partial(self._camera_boots, shutter))
            self._often("camera_stuck", name, partial(self._sticks, shutter))
        for name, printer in sorted(floor.printers.items()):
            self._often("printer_away", name, partial(self._unplugged, name))
            if isinstance(printer, Machine):
                self._often("printer_reboot", name, partial(self._printer_boots, name, printer))
                self._often("ink_out", name, partial(self._runs_out, name, printer))

    def _often(self, trouble: str, where: str, deed: Callable[[Chance, float], None]) -> None:
        def if_made(chance: Chance, now: float) -> None:
            if self._floor.truth.levels[0]:  # nobody sees to a line before its first bottle
                deed(chance, now)

        self._agenda.often(trouble, self._floor.rates.get(trouble, 0), if_made, where)

    def _away(self, name: str, now: float, seconds: float) -> None:
        """No link for so long; two outages of one device at a time are one."""
        self._floor.away.add(name)
        self._agenda.at(now + seconds, lambda now: self._floor.away.discard(name))

    def _happened(self, trouble: str, now: float, where: str) -> None:
        self._floor.truth.happened(trouble, now, None, where)

    def _link(self, chance: Chance, now: float) -> None:
        if "plc" not in self._floor.away:
            self._happened("link_loss", now, "plc")
            self._away("plc", now, chance.between(*LINK_SECONDS))

    # ----------------------------------------------------------------------------------- cameras

    def _dark(self, shutter: Shutter, chance: Chance, now: float) -> None:
        """The camera goes on taking and numbering pictures; none arrives."""
        seconds = chance.between(*CAMERA_SECONDS)
        self._happened("camera_away", now, shutter.camera)
        shutter.dark_until = max(shutter.dark_until, now + seconds)
        self._away(shutter.camera, now, seconds)

    def _camera_boots(self, shutter: Shutter, chance: Chance, now: float) -> None:
        """No pictures; then it numbers them from 1 again."""
        seconds = chance.between(*BOOT_SECONDS)
        self._happened("camera_reboot", now, shutter.camera)
        shutter.boot(now + seconds)
        self._away(shutter.camera, now, seconds)

    def _sticks(self, shutter: Shutter, chance: Chance, now: float) -> None:
        """New numbers with the last picture."""
        self._happened("camera_stuck", now, shutter.camera)
        shutter.stuck_until = now + chance.between(*STUCK_SECONDS)

    # ---------------------------------------------------------------------------------- printers

    def _unplugged(self, name: str, chance: Chance, now: float) -> None:
        """It prints on from what it holds, and nobody hears of it."""
        self._happened("printer_away", now, name)
        self._away(name, now, chance.between(*PRINTER_SECONDS))

    def _printer_boots(self, name: str, machine: Machine, chance: Chance, now: float) -> None:
        """What it held is gone; while it starts it prints nothing."""
        seconds = chance.between(*BOOT_SECONDS)
        self._happened("printer_reboot", now, name)
        machine.reboot()
        self._fault(machine, "booting", now, seconds)
        self._away(name, now, seconds)

    def _runs_out(self, name: str, machine: Machine, chance: Chance, now: float) -> None:
        """Ink or labels run out; a person refills."""
        self._happened("ink_out", now, name)
        self._fault(machine, machine.empty, now, chance.between(*REFILL_SECONDS))

    def _fault(self, machine: Machine, fault: str, now: float, seconds: float) -> None:
        machine.faults.add(fault)
        self._agenda.at(now + seconds, lambda now: machine.faults.discard(fault))
