"""The end of a belt: divider, lanes, strokes, and the container they fill."""

from collections import deque
from collections.abc import Callable

from drivers.sim.belt import Belt, Outcome, Point
from drivers.sim.floor import Floor
from drivers.sim.layout import Camera, Packer
from drivers.sim.truth import Item
from drivers.sim.world import CLEARED, ENTERED, STROKE, TRIGGER, Ask


class PackerStation(Point):
    """Takes items off its belt and lays full containers on the next one.

    PLC events: ENTERED with lane and item number at the infeed, STROKE with the container's number,
    4 bits of count per lane (lane 0 lowest) and bit 0 of the lane byte set when the container moves
    on; then, with a camera over the stroke, TRIGGER with the container's number and the stroke's
    index as data.

    The PLC knows only what its eye at the infeed counted into each lane; what is really in a lane
    may be another number of items. A stroke takes the rows that are there.
    """

    def __init__(self, spec: Packer, level: int, belt: Belt, next_belt: Belt, floor: Floor) -> None:
        self._spec = spec
        self._level = level
        self._belt = belt
        self._next = next_belt
        self._floor = floor
        self._eye = floor.eye(belt, spec.name, spec.station, belt.length, self._false_edge)
        self._lanes: list[deque[Item]] = [deque() for _ in range(spec.lanes)]
        self._counted = [0] * spec.lanes  # what the PLC believes to be in them
        self._lane = 0  # where the divider stands
        self._full = 0  # lanes that hold a stroke's rows, as counted
        self._strokes = 0
        self._container: Item | None = None
        self._cameras = [floor.shutter(view) for view in spec.views]
        self._divider = floor.trouble("divider", spec.name)
        self._short = floor.trouble("stroke_short", spec.name)
        self._aborted = floor.trouble("stroke_aborted", spec.name)
        self._upside = floor.trouble("layer_order", spec.name)
        self._half = floor.trouble("half_pallet", spec.name)
        self._moves = 0
        self._pictured = bool(spec.views) or any(
            seen.of == "content"
            for station in floor.layout.belts[level].stations
            if isinstance(station, Camera)
            for view in station.views
            for seen in view.see
        )
        self.on_abort: Callable[[PackerStation, float], None] = lambda packer, now: None
        self.on_jam: Callable[[float], None] = lambda now: None
        self._data = sum(spec.rows << 4 * lane for lane in range(spec.lanes))

    def act(self, item: Item, now: float, travel: float) -> Outcome:
        if self._floor.halves and self._tops_up(item, now):
            return Outcome.GONE
        if "fallen" in item.befell:
            # What lies gets through no lane: it blocks the infeed until a person takes it away.
            item.place = "taken"
            self._floor.table[item.level].append(item)
            self.on_jam(now)
            return Outcome.GONE
        lane = self._lane
        seen = self._eye.sees(item, now, travel)
        item.place = "lane"
        if not item.level:
            self._floor.arrived(item)
        if self._spec.lanes > 1 and self._divider.hits(item.serial):
            # The PLC goes by where its divider should be.
            self._floor.truth.happened("divider", now, item, self._spec.name, told=False)
            lane = (lane + 1) % self._spec.lanes
        if item.next_to is not None:
            # It goes where the one before it went: the divider moves by edges.
            lane = (lane - 1) % self._spec.lanes
            self._floor.part(item)
        self._lanes[lane].append(item)
        if seen:
            self._count(item.number, now, travel)
        return Outcome.GONE

    def _false_edge(self, number: int, item: Item | None, now: float, travel: float) -> None:
        """The eye counts what is not there."""
        self._count(number, now, travel)

    def _count(self, number: int, now: float, travel: float) -> None:
        """An edge at the infeed: the PLC counts it into the lane and moves the divider on."""
        spec, lane = self._spec, self._lane
        if self._container is None and not any(self._counted):
            self._begins()
        self._lane = (lane + 1) % spec.lanes
        self._floor.plc.write(ENTERED, spec.station, lane, number, travel)
        self._counted[lane] += 1
        if self._counted[lane] == spec.rows:
            self._full += 1
            if self._full == spec.lanes:
                self._moves += 1
                if self._aborted.hits(self._moves):
                    self._floor.truth.happened("stroke_aborted", now, None, spec.name)
                    self.on_abort(self, now)
                else:
                    self._stroke(now, travel)

    def _begins(self) -> None:
        """The first child of a container comes: who will take it away half full says so now."""
        floor = self._floor
        if self._leaves_half(len(floor.truth.levels[self._level]) + 1):
            floor.asks.append(Ask("close_partial", self._spec.station))

    def _leaves_half(self, serial: int) -> bool:
        return self._floor.people and self._spec.strokes > 1 and self._half.hits(serial)

    def _tops_up(self, item: Item, now: float) -> bool:
        """A container that left half full is filled by hand, from the end of this belt: only when
        another one has been made meanwhile, and only with what has a code to be scanned."""
        floor = self._floor
        half = next((each for each in floor.halves if each.level == self._level), None)
        if half is None or item.bad or len(floor.truth.levels[self._level]) < half.serial + 2:
            return False
        code, child = floor.truth.primary(half), floor.truth.primary(item)
        if code is None or child is None:
            return False
        item.place, item.parent = "packed", half
        half.children.append(item)
        floor.asks.append(Ask("top_up", self._spec.station, code, (child,)))
        if len(half.children) == self._spec.count:
            floor.halves.remove(half)
            half.befell = (*half.befell, "topped_up")
        return True

    def _stroke(self, now: float, travel: float) -> None:
        spec, floor = self._spec, self._floor
        container = self._container
        if container is None:
            container = floor.truth.new(self._level, self._next.numbers.take())
            container.open = True
            container.place = "packer"
            self._container = container
        moved = self._grip(now)
        for child in moved:
            child.place = "packed"
            child.parent = container
        container.children.extend(moved)
        index = self._strokes
        self._strokes += 1
        last = self._strokes == spec.strokes
        if spec.strokes > 1:
            if self._upside.hits(container.serial):
                if not index:
                    floor.truth.happened("layer_order", now, container, spec.name)
                index = spec.strokes - 1 - index
            if not last and self._leaves_half(container.serial):
                last = True
                floor.spoiled(container, "half_pallet", now)
        floor.plc.write(STROKE, spec.station, int(last), container.number, travel, self._data)
        if self._cameras:
            floor.plc.write(TRIGGER, spec.station, 0, container.number, travel, index)
            triggers = floor.truth.triggers
            triggers[spec.name] = triggers.get(spec.name, 0) + 1
            for camera in self._cameras:
                camera.shoot(now, container, moved)
        if last:
            container.open = False
            container.place = "belt"
            self._container = None
            self._strokes = 0
            self._next.put(container, now)
        self._counted = [count - spec.rows for count in self._counted]
        self._full = sum(count >= spec.rows for count in self._counted)

    def _grip(self, now: float) -> list[Item]:
        """Up to `rows` of each lane, row by row; a gripper may leave one behind at its lane's
        head."""
        spec = self._spec
        slack = None
        if self._short.hits(self._moves):
            slack = self._lanes[self._short.pick(self._moves, spec.lanes)]
        left = slack.popleft() if slack else None
        moved = [
            queue.popleft()
            for row in range(spec.rows)
            for queue in self._lanes
            if queue and not (row == spec.rows - 1 and left is not None and queue is slack)
        ]
        if slack is not None and left is not None:
            slack.appendleft(left)
            self._floor.truth.happened("stroke_short", now, left, spec.name, told=self._pictured)
        return moved

    def empty_lanes(self, now: float) -> None:
        """A person takes everything out of the lanes and confirms it at the PLC."""
        for queue in self._lanes:
            for item in queue:
                item.place = "taken"
                self._floor.table[item.level].append(item)
            queue.clear()
        self._counted = [0] * self._spec.lanes
        self._lane = self._full = 0
        self._floor.plc.write(CLEARED, self._spec.station, 0, 0, self._belt.travel(now))

    def set_aside(self, now: float) -> None:
        """After the PLC lost its memory: the lanes are emptied, and a container that was not full
        is put aside; its number means nothing any more."""
        if self._container is not None:
            self._container.place = "aside"
            self._container = None
        self._strokes = 0
        self.empty_lanes(now)

    @property
    def waiting(self) -> int:
        """Items in the lanes."""
        return sum(len(queue) for queue in self._lanes)
