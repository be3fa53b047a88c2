"""`caselink tls`: https for the PDAs in the LAN, by an authority of the site's own."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.common import DEFAULT, ConfigFile, load_site, out
from agent.core.errors import ConfigError, DomainError
from agent.sections import LanSection, Site
from agent.services import site_ca

app = typer.Typer(no_args_is_help=True, help="https for PDAs: the site's own authority.")


def _lan(site: Site) -> LanSection:
    if site.web.lan is None:
        raise DomainError(
            "no_lan",
            "The site file has no [web.lan], so PDAs reach nothing: add it with the names by which "
            'they reach this machine, e.g. names = ["box1.plant.lan", "192.168.10.5"].',
        )
    if site.web.lan.cert:
        raise DomainError(
            "own_certificate",
            "web.lan.cert names a certificate of your own: renew it where it came from, or remove "
            "web.lan.cert and web.lan.key.",
        )
    return site.web.lan


@app.command()
def init(
    suffix: Annotated[
        list[str], typer.Option(help="DNS suffix of the site's machines, e.g. plant.lan; repeat.")
    ],
    network: Annotated[
        list[str], typer.Option(help="Network of the site, e.g. 192.168.10.0/24; repeat.")
    ],
    config: ConfigFile = DEFAULT,
) -> None:
    """Make the site's authority and the agent's first certificate."""
    site, files = load_site(config)
    lan = _lan(site)
    files.tls.mkdir(parents=True, exist_ok=True)
    where = site_ca.ca_files(files.tls)
    networks = [site_ca.network(each) for each in network]
    site_ca.create_ca(where, site.agent.id, suffix, networks)
    try:
        leaf = site_ca.sign_leaf(where, lan.names)
    except DomainError:
        where.cert.unlink()
        where.key.unlink()
        raise
    out.print(f"The authority may sign for {', '.join([*suffix, *network])} and nothing else.")
    _say(leaf)
    out.print(
        f"Now take the authority's key off this machine: move {where.key} to a medium that is "
        "kept under lock. Whoever has it can pretend to be any machine of the site. It is needed "
        "once a year: `caselink tls renew --ca-key FILE`.",
        markup=False,
    )


@app.command()
def renew(
    ca_key: Annotated[
        Path | None, typer.Option(help="The authority's key; default where `init` put it.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Also before two thirds of its life.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Give the agent a new certificate if it is time, or if its names have changed. A running
    agent takes it within seconds."""
    site, files = load_site(config)
    lan = _lan(site)
    where = site_ca.ca_files(files.tls)
    where = where._replace(key=ca_key or where.key)
    try:
        leaf = site_ca.read_leaf(where.leaf)
    except ConfigError:  # damaged: all the more reason for a new one
        leaf = None
    same = leaf is not None and {n.lower() for n in lan.names} == set(leaf.names)
    if leaf is not None and same and not leaf.due() and not force:
        out.print(f"Not yet: the certificate is good until {leaf.ends.date()}. Nothing was done.")
        return
    if not where.cert.exists():
        raise DomainError(
            "no_ca", "The site has no authority yet: make one with `caselink tls init`."
        )
    if not where.key.exists():
        raise DomainError(
            "ca_key_away",
            f"{where.key} is not here, as it should be: bring the authority's key and name it with "
            "--ca-key.",
        )
    _say(site_ca.sign_leaf(where, lan.names))


@app.command()
def show(config: ConfigFile = DEFAULT) -> None:
    """The fingerprints, for comparison with what /setup shows, and how long they are good."""
    _, files = load_site(config)
    where = site_ca.ca_files(files.tls)
    ca, leaf = site_ca.read_ca(where.cert), site_ca.read_leaf(where.leaf)
    if ca is None or leaf is None:
        raise DomainError(
            "no_ca", "The site has no authority yet: make one with `caselink tls init`."
        )
    out.print(f"Authority, SHA-256: {_grouped(ca[1])}", markup=False)
    _say(leaf)
    if where.key.exists():
        out.print(f"The authority's key is still here: take {where.key} off this machine.")


def _say(leaf: site_ca.Leaf) -> None:
    out.print(f"Certificate, SHA-256: {_grouped(leaf.fingerprint)}", markup=False)
    out.print(f"Good for {', '.join(leaf.names)} until {leaf.ends.date()}.", markup=False)


def _grouped(digest: str) -> str:
    digest = digest.upper()
    return " ".join(digest[n : n + 4] for n in range(0, len(digest), 4))
