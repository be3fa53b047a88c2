"""/api/pda/v1 over real sockets: what a rogue, broken or confused PDA gets, and what it changes."""

import json
import secrets
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.core import facts as f
from agent.demo.scene import free_ports
from agent.services import access as rules
from agent.services.uploads import MOST
from agent.store import journal
from agent.store.database import open_reader
from agent.web.lan import create_pda_app
from agent.web.pda_api import pda_router
from agent.web.server import WebServer
from tests.services.pda_help import Key
from tests.web.scan_site import API, PIN, ScanSite, wait_for

CODE = "https://q.example.cn/A1"
YEARS = 10 * 365 * 86_400_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScanSite]:
    made = ScanSite(tmp_path_factory.mktemp("scan"), free_ports(3))
    yield made
    made.stop()


def refused(answer: httpx.Response, status: int, reason: str) -> None:
    assert (answer.status_code, answer.json().get("reason")) == (status, reason), answer.text
    assert len(answer.json()["message"]) > 10


def items_of(site: ScanSite, device: str) -> list[f.ItemDone]:
    conn = open_reader(site.files.database, site.files.key)
    try:
        found = [entry.fact for entry in journal.read(conn)]
    finally:
        conn.close()
    return [each for each in found if isinstance(each, f.ItemDone) and each.device == device]


# --------------------------------------------------------------------------------------- enrolment


def test_a_code_enrols_once(site: ScanSite) -> None:
    code = site.code(locations=["DOCK"], operations=["ship", "query"])
    asked = {"code": code, "key": Key().jwk, "name": "a", "model": "CT58"}
    told = site.local.post(f"{API}/enrol", json=asked).json()
    assert (told["party"], told["locations"]) == ("F01", ["DOCK"])
    assert told["operations"] == ["ship", "query"]
    refused(site.local.post(f"{API}/enrol", json=asked), 403, "enrol_used")
    refused(site.local.post(f"{API}/enrol", json={**asked, "code": "x" * 22}), 403, "enrol_unknown")
    wrong = {**asked, "code": site.code(), "key": {**asked["key"], "y": asked["key"]["x"]}}
    refused(site.local.post(f"{API}/enrol", json=wrong), 422, "key_wrong")
    # A browser's JWK says more, and that is no mistake.
    more = {**asked["key"], "ext": True, "key_ops": ["verify"]}
    good = site.local.post(f"{API}/enrol", json={**wrong, "key": more})
    assert good.status_code == 201, good.text


def listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def test_without_a_secure_connection_there_is_no_enrolment(site: ScanSite) -> None:
    """By plain http from another machine; here, from this one's own address in the network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            address = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no address in a network")
    assert site.agent.scanning is not None
    app = create_pda_app([address], pda_router(site.agent.scanning))
    server = WebServer(app, address, 0)
    serving = site.spawn(server.run())
    try:
        with httpx.Client(base_url=f"http://{address}:{server.port}", timeout=20) as client:
            wait_for(lambda: listens(address, server.port), "it listens")
            assert client.get(f"{API}/time").status_code == 200
            code = site.code()
            asked = {"code": code, "key": Key().jwk}
            answer = client.post(f"{API}/enrol", json=asked)
            refused(answer, 403, "insecure")
            assert "离线保护未启用" in answer.json()["message"]
        asked_here = site.local.post(f"{API}/enrol", json=asked)
        assert asked_here.status_code == 201, "the code is still good"
    finally:
        server.stop()
        serving.result(20)


# ------------------------------------------------------------------------------------ who is asking


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"x_signature": "A" * 86}, "bad_signature"),
        ({"x_time": "1"}, "bad_signature"),
        ({"x_time": "soon"}, "bad_signature"),
        ({"x_nonce": "short"}, "bad_signature"),
        ({"x_nonce": "another-nonce-0123456789"}, "bad_signature"),
        ({"authorization": "Bearer nonsense"}, "not_enrolled"),
        ({"authorization": ""}, "not_enrolled"),
        ({"x_device": "NOBODY22"}, "not_enrolled"),
        ({"x_session": ""}, "not_logged_in"),
        ({"x_session": "x" * 43}, "not_logged_in"),
    ],
)
def test_who_does_not_sign_or_log_in_is_told_so(
    site: ScanSite, changed: dict[str, str], reason: str
) -> None:
    refused(site.device().get("/documents", **changed), 401, reason)


BODIES = {
    "/login": {"badge": "1007", "pin": PIN},
    "/items": {"items": [], "now": 1},
    "/query": {"text": CODE},
}


def test_every_route_asks_who_it_is(site: ScanSite) -> None:
    """But those that must not: whatever route is added is refused here until it asks."""
    told = site.local.get(f"{API}/openapi.json").json()
    asked = 0
    for path, routes in told["paths"].items():
        for method, operation in routes.items():
            assert operation["tags"], path
            if path.removeprefix(API) in ("/enrol", "/time"):
                continue
            answer = site.local.request(
                method, path.replace("{number}", "D-1"), json=BODIES.get(path.removeprefix(API))
            )
            assert answer.status_code == 401, (path, answer.text)
            asked += 1
    assert asked >= 9


def test_a_request_comes_once(site: ScanSite) -> None:
    pda = site.device()
    headers = pda.headers("GET", f"{API}/products", b"")
    assert site.local.get(f"{API}/products", headers=headers).status_code == 200
    refused(site.local.get(f"{API}/products", headers=headers), 401, "replayed")


def test_the_signature_covers_path_query_and_body(site: ScanSite) -> None:
    pda = site.device()
    headers = pda.headers("GET", f"{API}/documents?status=open", b"")
    refused(site.local.get(f"{API}/documents?status=all", headers=headers), 401, "bad_signature")
    headers = pda.headers("GET", f"{API}/documents?status=open", b"")
    assert site.local.get(f"{API}/documents?status=open", headers=headers).status_code == 200
    body = b'{"text": "one"}'
    headers = pda.headers("POST", f"{API}/query", body) | {"content-type": "application/json"}
    answer = site.local.post(f"{API}/query", content=b'{"text": "two"}', headers=headers)
    refused(answer, 401, "bad_signature")


def test_log_in_needs_the_pin_and_says_how_long_it_lasts(site: ScanSite) -> None:
    pda = site.device(badge="")
    refused(pda.post("/login", {"badge": "1007", "pin": "111222"}), 401, "pin_wrong")
    refused(pda.post("/login", {"badge": "4711", "pin": PIN}), 401, "pin_wrong")
    told = pda.login("9001", PIN)
    assert (told["name"], told["role"]) == ("Wang", "supervisor")
    assert "supervise" in told["operations"]
    assert rules.LASTS_MS - 5_000 < told["until"] - told["server"] <= rules.LASTS_MS
    assert pda.get("/documents").status_code == 200


def test_a_revoked_device_gets_nothing_more(site: ScanSite) -> None:
    pda = site.device()
    assert pda.upload(pda.open()).status_code == 200
    waiting = pda.item(document=f"{pda.device}-1", text=CODE)
    site.caselink("pda", "revoke", pda.device, "--why", "lost")
    refused(pda.upload(waiting), 403, "device_revoked")
    refused(pda.get("/documents"), 403, "device_revoked")
    refused(pda.post("/query", {"text": CODE}), 403, "device_revoked")
    refused(pda.post("/login", {"badge": "1007", "pin": PIN}), 403, "device_revoked")
    assert len(items_of(site, pda.device)) == 1


# ------------------------------------------------------------------------------------------- items


def test_an_upload_that_comes_twice_is_carried_out_once(site: ScanSite) -> None:
    pda = site.device()
    items = [pda.open(), pda.item(document=f"{pda.device}-1", text=CODE)]
    first = pda.upload(*items).json()
    again = pda.upload(*items).json()
    assert first["upto"] == again["upto"] == 2
    assert [each["replayed"] for each in again["results"]] == [True, True]
    plain = [[{**e, "replayed": 0} for e in told["results"]] for told in (first, again)]
    assert plain[0] == plain[1]
    third = pda.item(document=f"{pda.device}-1", text="https://q.example.cn/A3")
    mixed = pda.upload(items[1], third).json()
    assert [each["replayed"] for each in mixed["results"]] == [True, False]
    assert len(items_of(site, pda.device)) == 3


def test_a_forged_sequence_is_refused_and_says_where_to_go_on(site: ScanSite) -> None:
    pda = site.device()
    assert pda.upload(pda.open()).json()["upto"] == 1
    pda.seq += 5
    ahead = pda.upload(pda.item(text=CODE))
    refused(ahead, 409, "rewind")
    assert ahead.json()["upto"] == 1
    pda.seq = 1
    two, three, four = (pda.item(text=CODE, document=f"{pda.device}-1") for _ in range(3))
    refused(pda.upload(two, four), 422, "not_in_order")
    refused(pda.upload(three, two), 422, "not_in_order")
    refused(pda.upload(two, two), 422, "not_in_order")
    for seq in (0, -1, 1 << 60):
        refused(pda.upload(pda.key.item(pda.device, {**two, "seq": seq})), 422, "bad_request")
    assert len(items_of(site, pda.device)) == 1
    # Another item under a number that was used changes nothing of what was said then.
    pda.seq = 0
    told = pda.upload(pda.item(text="https://q.example.cn/A9")).json()["results"]
    assert told[0]["verdict"] == "other_item"
    assert items_of(site, pda.device)[0].do == "open"


def test_somebody_elses_item_is_refused_whole(site: ScanSite) -> None:
    mine, other = site.device(), site.device()
    foreign = other.open()
    refused(mine.upload(foreign), 403, "item_forged")
    # Not even with our own number in it, or under our own good item.
    refused(mine.upload(mine.open(), {**foreign, "seq": 2}), 403, "item_forged")
    assert items_of(site, mine.device) == []
    assert other.upload(foreign).status_code == 200, "at home it is good"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "another"),
        ("do", "close"),
        ("document", "D-2"),
        ("text", "https://q.example.cn/A2"),
        ("remove", True),
        ("answer", "yes"),
        ("reason", "because"),
        ("condition", "damaged"),
        ("body", {"all": True}),
        ("at", 1_763_700_000_000),
        ("by", "9001"),
        ("sig", "A" * 86),
        ("sig", ""),
    ],
)
def test_an_item_that_was_changed_after_it_was_signed_is_refused(
    site: ScanSite, field: str, value: Any
) -> None:
    pda = site.device()
    refused(pda.upload({**pda.item(text=CODE), field: value}), 403, "item_forged")
    assert items_of(site, pda.device) == []


def test_an_item_of_somebody_who_did_not_log_in_may_do_nothing(site: ScanSite) -> None:
    pda = site.device(badge="")
    for badge in ("", "1007", "9001", "4711"):
        told = pda.upload(pda.key.item(pda.device, {**pda.open(), "by": badge})).json()
        assert [each["verdict"] for each in told["results"]] == ["not_allowed"], told
    pda.login("1007", PIN)
    assert pda.upload(pda.open()).json()["results"][0]["verdict"] == "opened"
    told = pda.upload(pda.key.item(pda.device, {**pda.open(), "by": "9001"})).json()
    assert told["results"][0]["verdict"] == "not_allowed", "a colleague's badge is no log-in"


@pytest.mark.parametrize("ahead", [YEARS, -YEARS])
def test_a_clock_ten_years_off_harms_nothing(site: ScanSite, ahead: int) -> None:
    pda = site.device()
    pda.ahead = ahead
    at = pda.now() - 3_600_000
    told = pda.upload(pda.key.item(pda.device, {**pda.open(), "at": at}))
    assert told.status_code == 200, told.text
    server = told.json()["server"]
    (done,) = items_of(site, pda.device)
    assert abs(done.at_ms - (server - 3_600_000)) < 20_000
    assert done.device_ms == at


def test_what_is_no_code_is_answered_and_blocks_nothing(site: ScanSite) -> None:
    pda = site.device()
    document = f"{pda.device}-1"
    texts = [
        "x" * 10_240,
        "https://shop.example/a-page?with=words and blanks",
        "😀🎉",
        "\x1d\x1d",
        " ",
        "",
        "\u202e\u0000",
        "https://q.example.cn/" + "A" * 600,
    ]
    items = [pda.open(), *(pda.item(document=document, text=text) for text in texts)]
    answer = pda.upload(*items, pda.item(document=document, text=CODE))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["upto"] == len(texts) + 2
    assert {each["severity"] for each in told["results"][1:]} <= {"stop", "ask"}
    kept = items_of(site, pda.device)
    assert max(len(each.code) for each in kept) <= 512
    for text in texts:
        found = pda.post("/query", {"text": text})
        if text:
            assert found.status_code == 200, found.text
            assert found.json()["known"] is False
        else:
            refused(found, 422, "bad_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"text": NaN}',
        b'{"text": "\\ud800"}',
        b'{"text": 7}',
        b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"text": ' + b"9" * 5000 + b"}",
        b'{"text": "x", "more": 1}',
    ],
)
def test_nonsense_is_refused_with_a_reason(site: ScanSite, body: bytes) -> None:
    answer = site.device().post("/query", body)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["reason"] == "bad_request"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e400, "\ud800", 10**300])
def test_an_item_whose_body_cannot_be_signed_is_refused(site: ScanSite, value: Any) -> None:
    pda = site.device()
    item = {**pda.item(text=CODE), "body": {"kind": value}}
    answer = pda.upload(item)
    assert answer.status_code in (400, 403, 422), answer.text
    assert answer.json()["reason"] in ("bad_request", "item_forged")
    assert items_of(site, pda.device) == []


def test_lengths_are_capped(site: ScanSite) -> None:
    pda = site.device()
    many = [pda.item(text=CODE) for _ in range(MOST + 1)]
    refused(pda.upload(*many), 422, "bad_request")
    refused(pda.post("/items", b" " * (512 * 1024 + 1)), 413, "too_large")
    refused(pda.post("/query", b" " * (64 * 1024 + 1)), 413, "too_large")
    refused(pda.post("/query", {"text": "x" * 16_385}), 422, "bad_request")
    refused(pda.get("/documents/" + "9" * 65), 422, "bad_request")
    refused(pda.get("/documents/x/goods?most=5001"), 422, "bad_request")


# ------------------------------------------------------------------------------------------ quotas


def test_a_device_that_sends_or_asks_too_much_waits(site: ScanSite) -> None:
    pda = site.device()
    items = [pda.open(), *(pda.item(document=f"{pda.device}-1", text="x") for _ in range(MOST - 1))]
    for n in range(rules.ITEMS.burst // MOST + 2):
        answer = pda.upload(*items)
        if answer.status_code == 429:
            break
        assert n <= rules.ITEMS.burst // MOST
    refused(answer, 429, "too_many")
    assert 1 <= int(answer.headers["retry-after"]) <= MOST
    assert site.device().upload().status_code == 200, "another device does not wait"
    other = site.device()
    for _ in range(5 * rules.QUERIES.burst):
        answer = other.post("/query", {"text": CODE})
        if answer.status_code == 429:
            break
    refused(answer, 429, "too_many")
    assert int(answer.headers["retry-after"]) >= 1


def test_who_fails_too_often_is_sent_away_before_anything_is_read(tmp_path: Path) -> None:
    """Long JSON of a stranger would keep the event loop that the line shares."""
    own = ScanSite(tmp_path, free_ports(3))
    try:
        for content in (b"{", b'{"items": 7}', b'{"items": [], "now": 1}'):
            for _ in range(5 * rules.FAILURES.burst):
                answer = own.local.post(
                    f"{API}/items", content=content, headers={"content-type": "application/json"}
                )
                if answer.status_code == 429:
                    break
            refused(answer, 429, "too_many")
        assert own.local.get("/api/lines").status_code == 200
    finally:
        own.stop()


# ------------------------------------------------------------------------------------------- scope


def test_another_partys_documents_are_not_there(site: ScanSite) -> None:
    mine, theirs = site.device("F01"), site.device("D77")
    assert theirs.upload(theirs.open()).json()["results"][0]["verdict"] == "opened"
    number = f"{theirs.device}-1"
    assert next(d["number"] for d in theirs.get("/documents").json()["documents"]) == number
    assert number not in mine.get("/documents?status=all").text
    refused(mine.get(f"/documents/{number}"), 404, "document_unknown")
    refused(mine.get(f"/documents/{number}/goods"), 404, "document_unknown")
    done = mine.upload(
        mine.item("scan", number, CODE), mine.item("close", number), mine.item("hand_over", number)
    ).json()["results"]
    assert {each["verdict"] for each in done} == {"no_document"}
    assert theirs.get(f"/documents/{number}").json()["status"] == "open"


def test_what_a_device_or_a_person_may_not_do_is_refused(site: ScanSite) -> None:
    pda = site.device(operations=["ship"])
    opened = pda.upload(pda.open("receive")).json()["results"][0]
    assert (opened["verdict"], opened["severity"]) == ("not_allowed", "stop")
    refused(pda.post("/query", {"text": CODE}), 403, "not_allowed")


# ---------------------------------------------------------------------------------------- language


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "登录已失效"),
        ("en-US,en", "Nobody is logged in"),
        ("fr, zh;q=0.5", "登录已失效"),
        ("", "Nobody is logged in"),
        ("x" * 5000, "Nobody is logged in"),
    ],
)
def test_refusals_speak_the_callers_language(site: ScanSite, asked: str, said: str) -> None:
    answer = site.device().get("/documents", x_session="", accept_language=asked)
    assert answer.json()["message"].startswith(said)


# ----------------------------------------------------------------------------------- the other gate


def test_the_panels_gate_is_as_strict_as_before(site: ScanSite) -> None:
    pda = site.device()
    order = {"number": "W", "line": "L1"}
    for headers in (
        {},
        {"authorization": f"Bearer {pda.token}"},
        pda.headers("POST", "/api/orders", json.dumps(order).encode()),
    ):
        answer = site.local.post("/api/orders", json=order, headers=headers)
        refused(answer, 403, "csrf")
        answer = site.local.get("/api/local/devices", headers=headers)
        refused(answer, 403, "local_only")
    for path in ("/api/pda/v1/../../orders", "/api/pda/v1%2f..%2f..%2forders"):
        raw = site.raw(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{{}}")
        assert raw.split()[1] == "404", raw
    strange = {"origin": "https://evil.example"}
    asked = {"code": site.code(), "key": Key().jwk}
    refused(site.local.post(f"{API}/enrol", json=asked, headers=strange), 403, "bad_origin")
    host = {"host": "evil.example"}
    refused(site.local.post(f"{API}/enrol", json=asked, headers=host), 421, "bad_host")
    assert "set-cookie" not in pda.get("/products").headers


# -------------------------------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def secure(site: ScanSite) -> Iterator[httpx.Client]:
    site.certify()
    with site.secure() as client:
        yield client


def test_by_https_there_is_the_app_and_its_api_and_nothing_else(
    site: ScanSite, secure: httpx.Client
) -> None:
    assert secure.get("/").headers["location"] == "/pda/"
    page = secure.get("/pda/")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["content-security-policy"]
    assert secure.get("/pda/sw.js").status_code == 200
    assert secure.get("/panel/text.js").status_code == 200, "a module that the app shares"
    token = {"authorization": f"Bearer {site.token}"}
    for path in (
        "/panel/",
        "/panel/index.html",
        "/panel/server.js",
        "/warehouse/",
        "/api/session",
        "/api/lines",
        "/api/openapi.json",
        "/api/trace?code=x",
        "/api/local/devices",
        "/api/local/sync",
        "/api/v1/warehouse/setup",
        "/ws/live?line=L1",
        "/docs",
        "/setup",
    ):
        assert secure.get(path, headers=token).status_code in (403, 404), path
    for path in ("/api/orders", "/api/local/devices/enrol", "/api/session"):
        assert secure.post(path, json={}, headers=token).status_code == 403, path
    assert secure.get("/pda/", headers={"host": "evil.example"}).status_code == 421
    pda = site.device()
    pda.client = secure
    assert pda.upload(pda.open()).json()["upto"] == 1


def test_plain_http_serves_the_way_to_https_and_nothing_else(
    site: ScanSite, secure: httpx.Client
) -> None:
    lan = site.agent.lan
    assert lan is not None
    with httpx.Client(base_url=f"http://127.0.0.1:{lan.setup_port}", timeout=20) as plain:
        page = plain.get("/setup")
        shown = "".join(page.text.split("<br>\n<code>")[1].split("</code>")[0].split())
        assert shown.lower() == site.fingerprint("x509", "-in", str(site.ca.cert))
        der = plain.get("/setup/ca.crt")
        assert der.headers["content-type"] == "application/x-x509-ca-cert"
        assert ssl.DER_cert_to_PEM_cert(der.content) == site.ca.cert.read_text()
        assert f'data-url="https://127.0.0.1:{lan.port}/pda/version.json"' in page.text
        policy = page.headers["content-security-policy"]
        assert f"connect-src https://127.0.0.1:{lan.port} https://box1.plant.lan" in policy
        assert plain.get("/setup/qr.svg").text.startswith("<svg")
        for path in ("/pda/", f"{API}/time", "/panel/", "/setup/page.html", "/setup/../lan.py"):
            assert plain.get(path).status_code == 404, path
        assert plain.post(f"{API}/enrol", json={}).status_code in (404, 405)


def test_a_renewed_certificate_is_taken_without_a_start(
    site: ScanSite, secure: httpx.Client
) -> None:
    lan = site.agent.lan
    assert lan is not None
    assert "Not yet" in site.caselink("tls", "renew")
    key = site.ca.key.rename(site.files.data / "away.key")
    site.caselink("tls", "renew", "--force", "--ca-key", str(key))
    new = site.fingerprint("x509", "-in", str(site.ca.leaf))

    def served() -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", lan.port))
        return site.fingerprint("x509", text=pem)

    wait_for(lambda: served() == new, "the new certificate is served")
    site.ca.leaf.write_text("half a file", "utf-8")
    for _ in range(3):
        assert served() == new, "a broken one is not taken"
    with site.secure() as client:
        assert client.get(f"{API}/time").status_code == 200


def test_the_code_carries_the_certificates_fingerprint(
    site: ScanSite, secure: httpx.Client
) -> None:
    site.ca.leaf.exists()
    site.caselink("tls", "renew", "--force", "--ca-key", str(site.files.data / "away.key"))
    shown = json.loads(site.caselink("pda", "enrol", "--name", "one", "--party", "F01", "--json"))
    lan = site.agent.lan
    assert lan is not None
    leaf = site.fingerprint("x509", "-in", str(site.ca.leaf))
    address, _, rest = shown["text"].partition("#")
    assert address == f"https://127.0.0.1:{lan.port}/pda/"
    assert rest.startswith("enrol=")
    assert rest.endswith(f"&cert={leaf}")
    assert len(shown["rows"]) == len(shown["rows"][0])


# --------------------------------------------------------------------------- who is not enrolled


def test_a_hosted_agent_answers_no_stranger(site: ScanSite) -> None:
    refused(site.local.post(f"{API}/query", json={"text": CODE}), 401, "query_closed")


def test_a_stranger_learns_what_is_on_the_label(tmp_path: Path) -> None:
    from tests.web.scan_site import SITE

    one_party = SITE.split('[[warehouse]]\nparty = "D77"')[0]
    own = ScanSite(tmp_path, free_ports(3), one_party)
    try:
        pda = own.device()
        unit = {"product": "cola", "lot": "B1", "level": "case", "expires": "2027-01-01"}
        scan = pda.item(
            document=f"{pda.device}-2", text=CODE, body=unit, answer="not_expected", reason="found"
        )
        pda.seq = 0
        told = pda.upload(pda.open(), pda.key.item(pda.device, {**scan, "seq": 2}))
        assert told.status_code == 200, told.text
        answer = own.local.post(f"{API}/query", json={"text": CODE})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) <= {"known", "level", "product", "lot", "expires", "state"}
        for _ in range(rules.STRANGERS.burst + 2):
            answer = own.local.post(f"{API}/query", json={"text": secrets.token_hex(8)})
        refused(answer, 429, "too_many")
    finally:
        own.stop()
