"""The values of a record before they are bytes: which of the job's fields, and why one is refused.

Everything here is said before the first byte leaves, so that a refused code was certainly not
printed.
"""

from collections.abc import Sequence

from agent.core.errors import DomainError
from agent.ports.printing import PrintJob


def values_of(device: str, names: Sequence[str], job: PrintJob) -> list[str]:
    """The job's fields in the order of `names` (none: the job's own order). DomainError when one
    is missing."""
    wanted = tuple(names) or tuple(job.fields)
    missing = [name for name in wanted if name not in job.fields]
    if missing or not wanted:
        raise DomainError(
            "printer_field_missing",
            f"{device} needs the field '{(missing or ['(any)'])[0]}' and the job has "
            f"{sorted(job.fields)}; nothing was sent. Mend 'fields' of the device's section.",
        )
    return [job.fields[name] for name in wanted]


def fault_key(text: str) -> str:
    """A stable key of what a device says in words ("Ink Low" -> ink_low)."""
    key = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.strip().lower())
    return "_".join(part for part in key.split("_") if part)[:40] or "unknown"


def forbidden(device: str, what: str, remedy: str = "") -> DomainError:
    """The refusal of a value that would mean something else in the device's language."""
    return DomainError(
        "printer_value_forbidden",
        f"A value for {device} holds {what}, which means something else in its language; nothing "
        f"was sent. {remedy or 'Take such codes out of the pool or use another profile.'}",
    )


def too_long(device: str, most: int, length: int, unit: str = "bytes") -> DomainError:
    """The refusal of a value or record that the device cannot hold."""
    return DomainError(
        "printer_value_too_long",
        f"{device} takes at most {most} {unit} and this record has {length}; nothing was sent. "
        f"Shorten the code's text or the template.",
    )


def wrong_charset(device: str, encoding: str, value: str, at: int) -> DomainError:
    """The refusal of a character that the device does not have."""
    return DomainError(
        "printer_value_encoding",
        f"{device} prints {encoding} only, and the value holds U+{ord(value[at]):04X}; nothing "
        f"was sent. Change the value or the profile.",
    )


def refused(device: str, command: str, ref: int, why: str) -> DomainError:
    """The device understood a record and did not take it."""
    return DomainError(
        "printer_refused",
        f"{device} refused record {ref} ({command}: {why}) and printed nothing of it. "
        f"Check the device's job and the code's text.",
    )
