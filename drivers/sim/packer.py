"""The end of a belt: divider, lanes, strokes, and the container they fill."""

from collections import deque

from drivers.sim.belt import Belt, Outcome
from drivers.sim.layout import Packer
from drivers.sim.optics import Eye
from drivers.sim.plcmodel import Numbers
from drivers.sim.stations import Floor
from drivers.sim.truth import Item
from drivers.sim.world import ENTERED, STROKE, TRIGGER


class PackerStation:
    """Takes items off its belt and lays full containers on the next one.

    PLC events: ENTERED with lane and item number at the infeed, STROKE with the container's number,
    4 bits of count per lane (lane 0 lowest) and bit 0 of the lane byte set when the container moves
    on; then, with a camera over the stroke, TRIGGER with the container's number and the stroke's
    index as data.
    """

    def __init__(self, spec: Packer, level: int, next_belt: Belt, floor: Floor) -> None:
        self._spec = spec
        self._level = level
        self._next = next_belt
        self._floor = floor
        self._lanes: list[deque[Item]] = [deque() for _ in range(spec.lanes)]
        self._lane = 0
        self._full = 0  # lanes that hold a stroke's rows
        self._strokes = 0
        self._container: Item | None = None
        self._numbers = Numbers(floor.layout.first_number)
        self._eyes = [Eye(view, floor.seed) for view in spec.views]
        self._data = sum(spec.rows << 4 * lane for lane in range(spec.lanes))

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        spec = self._spec
        lane = self._lane
        self._lane = (lane + 1) % spec.lanes
        self._floor.plc.write(ENTERED, spec.station, lane, item.number, travel)
        if not item.level:
            self._floor.arrived(item)
        item.place = "lane"
        queue = self._lanes[lane]
        queue.append(item)
        if len(queue) == spec.rows:
            self._full += 1
            if self._full == spec.lanes:
                self._stroke(now, travel)
        return Outcome.GONE

    def _stroke(self, now: float, travel: float) -> None:
        spec, floor = self._spec, self._floor
        container = self._container
        if container is None:
            container = floor.truth.new(self._level, self._numbers.take())
            container.open = True
            container.place = "packer"
            self._container = container
        moved = [queue.popleft() for _ in range(spec.rows) for queue in self._lanes]
        for child in moved:
            child.place = "packed"
            child.parent = container
        container.children.extend(moved)
        index = self._strokes
        self._strokes += 1
        last = self._strokes == spec.strokes
        floor.plc.write(STROKE, spec.station, int(last), container.number, travel, self._data)
        if self._eyes:
            floor.plc.write(TRIGGER, spec.station, 0, container.number, travel, index)
            triggers = floor.truth.triggers
            triggers[spec.name] = triggers.get(spec.name, 0) + 1
            for eye in self._eyes:
                floor.exposures.append(eye.shoot(now, container, moved))
        if last:
            container.open = False
            container.place = "belt"
            self._container = None
            self._strokes = 0
            self._next.put(container, now)
        self._full = sum(len(queue) >= spec.rows for queue in self._lanes)

    @property
    def waiting(self) -> int:
        """Items in the lanes."""
        return sum(len(queue) for queue in self._lanes)
