"""The API of PDAs against requests that an outsider makes up from its document: short form."""

from collections.abc import Iterator

import pytest

from agent.demo.scene import free_ports
from tests.web.pda_schema import play
from tests.web.scan_site import API, ScanSite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanSite]:
    made = ScanSite(tmp_path_factory.mktemp("schema"), free_ports(3))
    yield made
    made.stop()


def test_whatever_comes_there_is_no_server_error_and_an_answer_that_is_documented(
    site: ScanSite,
) -> None:
    statuses = play(site, 72)
    assert sum(statuses.values()) > 50
    assert statuses[200] > 10, f"hardly anything got through: {statuses}"


def test_the_document_says_how_to_use_each_route(site: ScanSite) -> None:
    told = site.local.get(f"{API}/openapi.json").json()
    operations = [(p, o) for p, routes in told["paths"].items() for o in routes.values()]
    assert len(operations) >= 12
    for path, operation in operations:
        assert operation["tags"], path
        assert len(operation["description"]) > 5, path
        assert {"401", "429"} <= set(operation["responses"]), path
    assert "examples" in told["components"]["schemas"]["EnrolBody"]["properties"]["code"]
