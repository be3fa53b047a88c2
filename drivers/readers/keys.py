"""What a hand scanner types, as Linux hands on its keys: input events to readings. Pure.

A scanner that is a keyboard says nothing but key positions; which characters they are depends on
the layout that it is set to (US here). Key numbers: linux/input-event-codes.h. Control characters
of a code come as Ctrl with a key (GS is Ctrl+]) or as Alt with digits of the number pad, as the
scanner is set; both are understood. Whatever is not understood spoils its whole scan: a code
without one of its characters would be another code.
"""

import struct

from drivers.readers.payload import Heard, PayloadConfig, heard

EVENT = struct.Struct("@llHHi")
"""struct input_event: seconds, microseconds, type, code, value, in the machine's own sizes."""
MAX_TEXT = 4096
_SYN, _KEY = 0, 1
_DROPPED = 3
_RELEASE, _PRESS = 0, 1
_SHIFTS, _CTRLS, _ALTS = (42, 54), (29, 97), (56, 100)
_CAPS = 58
_OTHERS = frozenset({69, 70, 125, 126})  # Num Lock, Scroll Lock, the Windows keys
_ENTERS = frozenset({28, 96})
_TAB = 15
_CONTROLS = {"]": "\x1d", "\\": "\x1c", "6": "\x1e", "-": "\x1f", "d": "\x04"}
"""Keys with Ctrl that stand in codes: GS, FS, RS, US, and EOT of ISO/IEC 15434."""
_CONTROL_ENDS = frozenset({36, 50})  # Ctrl+J and Ctrl+M are LF and CR

_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (55, "*", "*"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),
    (98, "/", "/"),
)
KEYS = {
    first + n: (plain[n], shifted[n]) for first, plain, shifted in _ROWS for n in range(len(plain))
}
"""Key number -> what it types without and with Shift, US layout."""
_PAD = {code: KEYS[code][0] for code in range(71, 83) if KEYS[code][0].isdigit()}


class KeyCodec:
    """Bytes of an input device to readings. `tab` says that a scan ends with Tab instead of Enter;
    what is not ended within `gap` seconds of its last key is given up. `dropped` counts scans that
    were spoiled or not ended."""

    def __init__(self, config: PayloadConfig, *, tab: bool = False, gap: float = 1.0) -> None:
        self._config = config
        self._ends = frozenset({_TAB}) if tab else _ENTERS
        self._gap = gap
        self._rest = bytearray()
        self._held: set[int] = set()
        self._caps = False
        self._text = ""
        self._pad = ""
        self._spoiled = False
        self._at = 0.0
        self.dropped = 0

    def feed(self, data: bytes) -> list[Heard]:
        """The readings that became complete, in order."""
        found: list[Heard] = []
        self._rest += data
        whole = len(self._rest) // EVENT.size * EVENT.size
        for seconds, micros, kind, code, value in EVENT.iter_unpack(bytes(self._rest[:whole])):
            if kind == _SYN and code == _DROPPED:
                # The kernel's buffer ran over: keys are missing, and releases among them.
                self._spoiled = True
                self._held.clear()
                self._pad = ""
            elif kind == _KEY:
                reading = self._key(code, value, seconds + micros / 1e6)
                if reading is not None:
                    found.append(reading)
        del self._rest[:whole]
        return found

    def _key(self, code: int, value: int, at: float) -> Heard | None:
        if (self._text or self._spoiled) and not 0 <= at - self._at <= self._gap:
            self.dropped += 1
            self._text, self._pad, self._spoiled = "", "", False
        self._at = at
        if code in (*_SHIFTS, *_CTRLS, *_ALTS):
            self._modifier(code, value)
            return None
        # A repeat (2) is a key that was held: no scanner does, and what it meant is typed already.
        if value != _PRESS or code in _OTHERS:
            return None
        if code == _CAPS:
            self._caps = not self._caps
        elif code in (_CONTROL_ENDS if self._held.intersection(_CTRLS) else self._ends):
            return self._end()
        else:
            self._type(code)
        return None

    def _modifier(self, code: int, value: int) -> None:
        if value == _PRESS:
            self._held.add(code)
        elif value == _RELEASE:
            self._held.discard(code)
            if code in _ALTS and self._pad:
                number, self._pad = int(self._pad), ""
                self._add(chr(number) if 0 < number < 128 else "")

    def _type(self, code: int) -> None:
        if self._held.intersection(_ALTS):
            digit = _PAD.get(code, "")
            self._pad += digit
            self._spoiled |= not digit or len(self._pad) > 4
            return
        plain, shifted = KEYS.get(code, ("", ""))
        if self._held.intersection(_CTRLS):
            self._add(_CONTROLS.get(plain, ""))
            return
        shift = bool(self._held.intersection(_SHIFTS))
        if plain.isalpha() and self._caps:
            shift = not shift
        self._add(shifted if shift else plain)

    def _add(self, char: str) -> None:
        self._text += char
        self._spoiled |= not char or len(self._text) > MAX_TEXT
        if self._spoiled:
            self._text = ""

    def _end(self) -> Heard | None:
        text, spoiled = self._text, self._spoiled
        self._text, self._pad, self._spoiled = "", "", False
        if spoiled:
            self.dropped += 1
            return Heard(())
        if not text:
            return None
        try:
            reading = heard(text.encode(self._config.encoding), self._config)
        except UnicodeEncodeError:
            reading = None
        self.dropped += reading is None
        return reading
