"""Defences of the print accounting taken out one by one, and the proof that notices.

Data only: `old` must stand exactly once in `file`; `proof` are the arguments of
`caselink device prove` that is good with the defence and not without it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProveMutant:
    """`name` says what defence is gone."""

    name: str
    file: str
    old: str
    new: str
    proof: str


MUTANTS = (
    ProveMutant(
        "what was not accepted is sent again in the next session",
        "agent/line/printing.py",
        "        self._unreported = 0\n        self._waiting.clear()\n",
        "        self._unreported = 0\n",
        "text_coder/uv --prints 60 --seed 1",
    ),
    ProveMutant(
        "a counter that began anew is believed",
        "agent/core/recovery.py",
        "    if moved < 0 or moved > many + window.before + window.behind or may_be_new:\n",
        "    moved = max(0, moved)\n    if moved > many + window.before + window.behind:\n",
        "text_coder/keeps-queue --prints 60 --seed 9",
    ),
    ProveMutant(
        "the print gate is opened before the code is in the printer",
        "agent/line/printing.py",
        "            accepted = await self.printer.send(job)\n",
        "            await self._open_gate()\n"
        "            accepted = await self.printer.send(job)\n",
        "text_coder/tij --prints 60 --seed 1",
    ),
    ProveMutant(
        "codes in doubt are never settled",
        "agent/core/recovery.py",
        "    late = due(station, window)\n    if not late:\n",
        "    late = due(station, window)\n    if True:\n",
        "text_coder/uv --prints 60 --seed 1",
    ),
)
