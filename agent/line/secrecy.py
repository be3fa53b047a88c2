"""Keeps codes that are worth money out of wire logs and pictures.

A printer's values are known before they are sent, so just they are hidden; what a reader of a
secret role says is not known beforehand, so all of it is.
"""

from collections import OrderedDict

KEPT = 4096
"""Secret values that are remembered; a device holds far fewer."""


class SecretValues:
    """A wire-log mask: replaces every value it was told of by asterisks of the same length."""

    def __init__(self) -> None:
        self._values: OrderedDict[bytes, None] = OrderedDict()

    def hide(self, text: str) -> None:
        """From now on, this text is hidden (as UTF-8 and as GBK)."""
        for encoding in ("utf-8", "gbk"):
            value = text.encode(encoding, "ignore")
            if value:
                self._values[value] = None
        while len(self._values) > KEPT:
            self._values.popitem(last=False)

    def __call__(self, data: bytes) -> bytes:
        for value in self._values:
            if value in data:
                data = data.replace(value, b"*" * len(value))
        return data


def hide_all(data: bytes) -> bytes:
    """A wire-log mask for a reader of secret codes: only the length remains."""
    return b"*" * len(data)
