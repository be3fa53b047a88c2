"""`caselink vision tune`: sets a camera up by what it shows, and writes that into the site file."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.app.files import Files
from agent.cli.common import DEFAULT, AsJson, ConfigFile, ask, err, load_site, out, print_json
from agent.cli.vision_replay import find_reader
from agent.core.errors import ConfigError, DomainError, TransientError
from agent.now import monotonic
from agent.sections import ReaderSection, Site

if TYPE_CHECKING:
    from agent.ports.reading import FrameSource
    from agent.vision.proposal import Commissioning, Proposal

EVERY = 10
"""Pictures between two lines of the live figures."""


def tune(
    camera: Annotated[str, typer.Option(help="The camera's device name in the site file.")],
    frames: Annotated[int, typer.Option(min=3, max=200, help="Pictures to take.")] = 200,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="Take no longer than this.")] = 300,
    distance: Annotated[
        float | None, typer.Option(min=1, max=20_000, help="Lens to code in mm, for the advice.")
    ] = None,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="As if the reader had no region, cells or order yet.")
    ] = False,
    language: Annotated[Literal["zh", "en", "both"], typer.Option(help="Of the advice.")] = "both",
    yes: Annotated[bool, typer.Option("--yes", help="Write the proposal without asking.")] = False,
    config: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Read rate, pixels per module, sharpness and light of a camera, live, with advice.

    Then it proposes region, order of attempts and exposure (the cells of an open case) and writes
    them into the site file on a yes. With --json it only writes with --yes.
    """
    from agent.app.site import decode_settings
    from agent.vision.advice import advise
    from agent.vision.proposal import Commissioning

    site, files = load_site(config)
    _, reader = find_reader(site, camera, "")
    if ask(site, files, "GET", "/api/devices", None) is not None:
        raise DomainError(
            "agent_runs",
            f"The agent runs and has camera {camera}: open its page /camera/ to see these figures "
            "live, or stop the agent and tune again to have the settings proposed.",
        )
    bare = reader.model_copy(update={"region": None, "track": 0.0, "cells": (), "attempts": ()})
    work = Commissioning.begin(decode_settings(bare if afresh else reader))
    asyncio.run(_take(site, reader, work, frames, monotonic() + seconds, not as_json))
    typical = work.tuning.typical()
    if typical is None:
        raise TransientError(
            f"camera {camera} gave no picture within {seconds} s: fire it (let the line run, or "
            "wave a hand before the photo-eye) and tune again"
        )
    advice = advise(typical, reader.symbology, distance)
    if not as_json:
        _print_figures(work)
        for each in advice:
            for tongue in ("zh", "en") if language == "both" else (language,):
                out.print(f"* {each.words(tongue)}", markup=False)

    def progress(what: str) -> None:
        if not as_json:
            err.print(f"... {what}", markup=False)

    proposal = work.propose(progress)
    exposure = _exposure(site, camera, proposal.exposure)
    if as_json:
        print_json(_data(work, proposal, exposure, [each.key for each in advice]))
    else:
        _print_proposal(proposal, exposure)
    if not (proposal.keys or exposure):
        return
    if yes or (not as_json and typer.confirm(f"Write this into {config}?", default=False)):
        _write(config, files, camera, proposal, exposure)
        if not as_json:
            out.print("Written. Start the agent anew to put it into effect.")


async def _take(
    site: Site,
    reader: ReaderSection,
    work: "Commissioning",
    frames: int,
    until: float,
    live: bool,
) -> None:
    """Pictures from the camera, measured one by one."""
    from agent.ports.reading import FrameSource
    from drivers import registry
    from drivers.context import DeviceContext

    device = registry.build(reader.device, site.devices[reader.device], DeviceContext())
    if not isinstance(device, FrameSource):
        raise ConfigError(f"device {reader.device} is no camera.")
    await device.open()
    try:
        await _measure(device, work, frames, until, live)
    finally:
        await device.close()


async def _measure(
    camera: "FrameSource", work: "Commissioning", frames: int, until: float, live: bool
) -> None:
    while len(work.pictures) < frames and monotonic() < until:
        frame = await camera.next_frame(min(1.0, max(0.01, until - monotonic())))
        if frame is None:
            if work.pictures and _is_folder(camera):
                return  # nobody puts pictures into it meanwhile
            continue
        await asyncio.to_thread(work.add, frame.image)
        if live and len(work.pictures) % EVERY == 0:
            out.print(_line(work), markup=False)


def _is_folder(camera: "FrameSource") -> bool:
    from drivers.cameras.folder import FolderCamera

    return isinstance(camera, FolderCamera)


def _line(work: "Commissioning") -> str:
    typical = work.tuning.typical()
    assert typical is not None
    return (
        f"{len(work.pictures):4} pictures, read {100 * typical.read:5.1f} %, "
        f"module {_number(typical.module)} px, edges {_number(typical.blur)} px, "
        f"contrast {100 * typical.contrast:3.0f} %, ground {typical.level:3.0f}, "
        f"light left {100 * typical.sides[0]:.0f} right {100 * typical.sides[1]:.0f} "
        f"above {100 * typical.sides[2]:.0f} below {100 * typical.sides[3]:.0f} %"
    )


def _number(value: float | None) -> str:
    return "   -" if value is None else f"{value:4.1f}"


def _print_figures(work: "Commissioning") -> None:
    out.print(_line(work), markup=False)
    by = ", ".join(f"{name} {n}" for name, n in work.tuning.attempts().most_common())
    out.print(f"By attempt: {by or '-'}", markup=False)


def _print_proposal(proposal: "Proposal", exposure: float | None) -> None:
    from agent.site_edit import shown

    for name, (rate, ms) in (("As it is", proposal.before), ("Proposed", proposal.after)):
        out.print(f"{name}: {100 * rate:.1f} % read, {ms:.2f} ms on average", markup=False)
    if not (proposal.keys or exposure):
        out.print("Nothing to propose: too little was read, or it is right as it is.")
        return
    for line in shown(proposal.keys):
        out.print(line if len(line) < 200 else f"{line[:190]} ...", markup=False)
    if exposure:
        out.print(f"exposure_us = {exposure:g}   (of the camera's own section)", markup=False)
    elif proposal.exposure:
        out.print(f"Expose {proposal.exposure:g} times as long (at the camera itself).")
    if proposal.look is not None:
        out.print("How a child in a case looks was learnt: missing and lying ones will be told.")


def _exposure(site: Site, camera: str, factor: float | None) -> float | None:
    """The camera's exposure (us) after the factor, where its section has one."""
    now = site.devices[camera].get("exposure_us")
    if factor is None or not isinstance(now, int | float) or isinstance(now, bool):
        return None
    return float(round(now * factor))


def _write(
    config: Path, files: Files, camera: str, proposal: "Proposal", exposure: float | None
) -> None:
    from agent import config as site_file
    from agent import site_edit
    from agent.vision import look as looks

    text = config.read_text("utf-8")
    if proposal.keys:
        text = site_edit.set_reader(text, camera, proposal.keys)
    if exposure:
        text = site_edit.set_device(text, camera, {"exposure_us": exposure})
    site_edit.save(config, text)
    site_file.load(config)
    if proposal.look is not None:
        looks.save(proposal.look, files.looks / f"{camera}.json")


def _data(
    work: "Commissioning", proposal: "Proposal", exposure: float | None, advice: list[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    typical = work.tuning.typical()
    return {
        "pictures": len(work.pictures),
        "figures": None if typical is None else asdict(typical),
        "attempts": dict(work.tuning.attempts()),
        "advice": advice,
        "proposal": {**proposal.keys, "exposure_us": exposure},
        "before": {"rate": proposal.before[0], "ms": proposal.before[1]},
        "after": {"rate": proposal.after[0], "ms": proposal.after[1]},
    }
