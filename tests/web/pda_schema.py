"""Requests that an outsider (schemathesis) makes up from the OpenAPI document of /api/pda/v1.

Each is signed and sent by an enrolled device with a log-in, so that it reaches what it asks for.
Whatever comes: no server error, and an answer that the document names.

The long form: `python -m tests.web.pda_schema 100000`.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import CHECKS, load_all_checks

from agent.services.rates import Rate, Rates
from tests.web.scan_site import API, Pda, ScanSite

load_all_checks()
CHECKED = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
]
DEFAULTS = {
    **dict.fromkeys(("id", "do", "document", "text", "answer", "reason", "condition"), ""),
    "remove": False,
    "body": {},
    "at": 0,
}
SEED = 20_261_122


def unlimited(site: ScanSite) -> None:
    """Let one device ask as often as it likes: here it plays many."""
    assert site.agent.scanning is not None
    access, all_of_it = site.agent.scanning.access, Rate(1e9, 10**9)
    for name in ("requests", "items", "queries", "logins", "failures", "enrolments", "strangers"):
        setattr(access, name, Rates(all_of_it))


def play(site: ScanSite, cases: int) -> Counter[int]:
    """So many cases, as many of each route; how many were answered with each status."""
    unlimited(site)
    pda = site.device(badge="9001")
    pda.upload(pda.open())
    schema = schemathesis.openapi.from_dict(site.local.get(f"{API}/openapi.json").json())
    operations = [result.ok() for result in schema.get_all_operations()]
    statuses: Counter[int] = Counter()
    with requests.Session() as session:
        session.trust_env = False
        for operation in operations:

            @seed(SEED)
            @settings(
                max_examples=max(1, cases // len(operations)),
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def one(case: Any) -> None:
                answer = sent(session, pda, case, str(site.local.base_url))
                statuses[answer.status_code] += 1
                case.validate_response(answer, checks=CHECKED)

            one()
    return statuses


def sent(session: requests.Session, pda: Pda, case: Any, base: str) -> requests.Response:
    """The case, signed as what goes over the wire."""
    given_: dict[str, Any] = case.as_transport_kwargs(base_url=base)
    kwargs = {
        name: given_[name]
        for name in ("method", "url", "params", "json", "data", "headers", "cookies")
        if given_.get(name) is not None
    }
    kwargs["json"] = signed_items(pda, kwargs.get("json"))
    made = session.prepare_request(requests.Request(**kwargs))
    body = made.body.encode() if isinstance(made.body, str) else made.body or b""
    for name, value in pda.headers(str(made.method), str(made.path_url), body).items():
        made.headers[name] = value
    answer = session.send(made, timeout=30, allow_redirects=False)
    if answer.status_code == 200 and case.path.endswith("/items"):
        pda.seq = answer.json()["upto"]
    return answer


def signed_items(pda: Pda, body: Any) -> Any:
    """The items of an upload as this device would have made them; what is none stays as it is."""
    if not isinstance(body, dict) or not isinstance(body.get("items"), list):
        return body
    try:
        items = [
            pda.key.item(pda.device, {**DEFAULTS, **item, "seq": pda.seq + n, "by": pda.badge})
            for n, item in enumerate(body["items"], start=1)
        ]
    except (TypeError, ValueError):
        return body
    return {**body, "items": items}


def main() -> int:
    from agent.demo.scene import free_ports

    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as folder:
        site = ScanSite(Path(folder), free_ports(3))
        try:
            statuses = play(site, cases)
        finally:
            site.stop()
    print(f"{sum(statuses.values()):,} cases: {dict(sorted(statuses.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
