"""Exceptions that name the remedy. Anything else that is raised is a bug and is loud."""


class CaselinkError(Exception):
    """Base of the three kinds below; catch a kind, not this."""


class TransientError(CaselinkError):
    """Try again later: the device, the disk or the network did not answer as it should.

    The supervisor owns the retry; whoever raises it has cleaned up after itself.
    """


class ConfigError(CaselinkError):
    """Mend the file: the message names the file, the place in it and what to write instead."""


class DomainError(CaselinkError):
    """Refused: the request is understood and not allowed.

    `reason` is a stable key of the message catalogue (`text.zh.json`, `text.en.json`); the message
    itself is English and says what happened, to what, and what to do now.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def unknown_code(text: str) -> DomainError:
    """The refusal of a code that no pool knows."""
    return DomainError(
        "unknown_code",
        f"No pool lists or admits {text}: check the reading, or import the pool it is from.",
    )
