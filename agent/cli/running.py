"""`caselink run` and `caselink demo`: an agent of a site file, or a demonstration of one."""

import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent import logs, site_file
from agent.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    Packing,
    PlantSite,
    PlantSpeed,
    TroubleRates,
    Troubles,
    err,
    load_site,
    out,
    print_json,
)

if TYPE_CHECKING:
    from agent.app import Agent

app = typer.Typer()

SWITCH_SECONDS = 0.0005
"""How long a thread that computes (an upload of a PDA, a batch for the cloud) keeps the interpreter
from the line's loop and writer; with the usual 5 ms a verdict waits so long several times."""


@app.command()
def run(
    config: ConfigFile = DEFAULT,
    web: Annotated[bool, typer.Option(help="Serve the panel.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything.")] = False,
) -> None:
    """Run the agent of a site file until it is told to stop."""
    from agent.app import Agent

    logs.begin(verbose)
    for noisy in ("pymodbus", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "pymodbus" else "WARNING")
    site_file.begin(config)
    site, _ = load_site(config)
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(_run(Agent(site, config, web=web, built=_keep_what_is_there)))


async def _run(agent: "Agent") -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, agent.stop)
    running = asyncio.create_task(agent.run())
    ready = asyncio.create_task(agent.ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if ready.done() and agent.port:
        host = agent.site.web.host
        print_json({"ready": {"panel": f"http://{host}:{agent.port}"}})
        sys.stdout.flush()
    ready.cancel()
    try:
        await running
    finally:
        gc.unfreeze()  # at the interpreter's end what is frozen would count as leaked


def _keep_what_is_there() -> None:
    """It stays: to look through all of it for garbage, again and again, would keep every line
    waiting for 0.1 s each time."""
    gc.collect()
    gc.freeze()


STORY_BOTTLES = 450
"""Enough for two pallets."""


@app.command()
def demo(
    bottles: Annotated[int | None, typer.Option(min=1, help="How many bottles to feed.")] = None,
    for_: Annotated[str, typer.Option("--for", help="How long to feed, e.g. 60s or 5m.")] = "",
    speed: PlantSpeed = 36_000,
    seed: Annotated[int, typer.Option(help="Of every chance in the plant.")] = 1,
    troubles: Troubles = "none",
    trouble: TroubleRates = None,
    pack: Packing = "multiread",
    site: PlantSite = "bottling",
    web: Annotated[bool, typer.Option(help="Serve the panel.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the panel.")] = 8080,
    keep: Annotated[Path | None, typer.Option(help="Leave everything in this folder.")] = None,
    kills: Annotated[
        int,
        typer.Option(
            min=0,
            help="Kill the agent so often at random moments, now and then broker and cloud too.",
        ),
    ] = 0,
    cloud: Annotated[
        bool, typer.Option(help="Run a broker and the cloud's consumer too, and audit them.")
    ] = True,
    story: Annotated[
        bool,
        typer.Option(
            "--story", help="Then ship a pallet to a dealer, divert a case, and ask the cloud."
        ),
    ] = False,
    stay: Annotated[bool, typer.Option(help="Leave the panel up after the audit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a packaging line against a simulated plant, then audit every container,
    at the agent and at the cloud."""
    # The simulated plant and its libraries are an extra of their own.
    from agent.demo.run import Demo, DemoOptions
    from agent.demo.scene import trouble_rate

    if story and bottles is None and not for_:
        bottles = STORY_BOTTLES
    options = DemoOptions(
        bottles=bottles,
        seconds=seconds(for_) if for_ else None,
        speed=speed,
        seed=seed,
        troubles=troubles,
        rates=dict(trouble_rate(each) for each in trouble or ()),
        pack=pack,
        site=site,
        web=web,
        port=port,
        keep=keep,
        kills=kills,
        cloud=cloud,
        stay=stay,
        story=story,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # Even where the shell ignores them: plant and agent must end with us.
        signal.signal(number, signal.default_int_handler)
    demonstration = Demo(options, say=lambda text: err.print(text, markup=False))
    result = demonstration.run()
    told = demonstration.told
    if as_json:
        print_json(result.data() | ({} if told is None else {"story": told.data()}))
    else:
        out.print(result.table())
        if told is not None:
            out.print(told.table())
    if not result.good or (story and (told is None or not told.good)):
        raise typer.Exit(1)


def seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        raise typer.BadParameter(f"write a time such as 60s or 5m, not {text}") from None
    if not 0 < value <= 86_400:
        raise typer.BadParameter("between 1 s and 24 h")
    return value
