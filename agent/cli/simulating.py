"""`caselink simulate`: shifts of the demonstration line in virtual time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from agent.cli.common import (
    AsJson,
    PlantSite,
    PlantSpeed,
    TroubleRates,
    Troubles,
    err,
    out,
    print_json,
)
from agent.cli.running import seconds

if TYPE_CHECKING:
    from agent.demo.simulate import SimOptions

app = typer.Typer()

MOST_SEEDS = 1_000_000


@app.command()
def simulate(
    seeds: Annotated[str, typer.Option(help="One seed, or the first and last: 1..1000.")] = "1",
    shift: Annotated[str, typer.Option(help="How long to feed, e.g. 8h, 30m or 90s.")] = "8h",
    bottles: Annotated[
        int | None, typer.Option(min=1, help="How many bottles to feed, instead of --shift.")
    ] = None,
    speed: PlantSpeed = 36_000,
    troubles: Troubles = "none",
    trouble: TroubleRates = None,
    pack: Annotated[
        Literal["multiread", "sequence", "seen"],
        typer.Option(
            help="By picture; by order and count; or so, and the camera of a case's label sees one "
            "child of each lane."
        ),
    ] = "multiread",
    site: PlantSite = "bottling",
    long_form: Annotated[
        int | None,
        typer.Option(
            "--campaign",
            min=1,
            max=MOST_SEEDS,
            metavar="SHIFTS",
            help="So many short shifts of everything: daily, harsh and each trouble alone, both "
            "sites and both ways of packing, from the seed of --seeds on. At least four of each.",
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Leave record and truth of each seed in this folder.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the seeds.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Play whole shifts in virtual time, as fast as the processor allows, and audit each."""
    # The simulated plant and its libraries are an extra of their own.
    from agent.demo import campaign
    from agent.demo.simfates import trouble_rate
    from agent.demo.simulate import SimOptions

    if long_form is not None:
        _campaign(long_form, _seeds(seeds)[0], bottles, speed, jobs, as_json=as_json)
        return
    fed = bottles if bottles is not None else int(seconds(shift) * speed / 3600)
    options = SimOptions(
        bottles=max(1, fed),
        speed=speed,
        troubles=troubles,
        rates=dict(trouble_rate(each) for each in trouble or ()),
        pack=pack,
        site=site,
        keep=keep.resolve() if keep is not None else None,
    )
    total = campaign.Total()
    for outcome in campaign.run([(options, seed) for seed in _seeds(seeds)], jobs):
        total.add(outcome)
        if as_json:
            print_json(outcome.data())
        elif not outcome.result.good:
            out.print(outcome.result.table())
        if not outcome.result.good:
            _say_again(options, outcome.seed)
    if as_json:
        print_json({"total": total.data()})
    else:
        for name, value in total.data().items():
            out.print(f"{name:26} {value}", markup=False)
    if total.failing:
        raise typer.Exit(1)


def _say_again(options: "SimOptions", seed: int) -> None:
    from agent.demo import campaign

    command = replay(seed, campaign.shortest(options, campaign.fails(seed)))
    err.print(f"Seed {seed} is not good. Again: {command}", markup=False)


def _campaign(
    count: int, first: int, bottles: int | None, speed: int, jobs: int, *, as_json: bool
) -> None:
    """The long form: one table, a line for each trouble."""
    from agent.demo import campaign, longform

    plan = longform.shifts(count, first, bottles or longform.BOTTLES, speed)
    err.print(f"{len(plan):,} shifts of {plan[0].options.bottles:,} bottles", markup=False)
    rows = longform.Rows()
    outcomes = campaign.attempt([(each.options, each.seed) for each in plan], jobs)
    for each, outcome in zip(plan, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            rows.broke(each)
            what = replay(each.seed, each.options)
            err.print(f"{each.row}: broke with {outcome!r}. Again: {what}", markup=False)
            continue
        rows.add(each, outcome)
        if as_json:
            print_json({"row": each.row, **outcome.data()})
        if not outcome.result.good:
            notes = "; ".join(outcome.result.notes[:4])
            err.print(f"{each.row}: {notes}", markup=False)
            _say_again(each.options, each.seed)
    if as_json:
        print_json(rows.data())
    else:
        Console(width=longform.WIDTH, highlight=False).print(rows.table())
    if rows.all.failing:
        raise typer.Exit(1)


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise typer.BadParameter(f"write one seed, or two as in 1..1000, not {text}") from None
    if not 0 < len(found) <= MOST_SEEDS:
        raise typer.BadParameter(f"1 to {MOST_SEEDS:,} seeds, the smaller one first")
    return found


def replay(seed: int, options: "SimOptions") -> str:
    """The shortest command that plays this shift again."""
    words = ["caselink simulate", f"--seeds {seed}"]
    whole, rest = divmod(options.bottles * 3600, options.speed)
    if rest or whole > 86_400:
        words.append(f"--bottles {options.bottles}")
    elif whole != 8 * 3600:
        words.append(f"--shift {whole}s")
    if options.speed != 36_000:
        words.append(f"--speed {options.speed}")
    for name, default in (("troubles", "none"), ("pack", "multiread"), ("site", "bottling")):
        value = getattr(options, name)
        if value != default:
            words.append(f"--{name} {value}")
    words += [f"--trouble {name}={rate:g}" for name, rate in options.rates.items()]
    return " ".join(words)
