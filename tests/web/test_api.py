"""The gate and the commands, asked by a plain HTTP client over a real socket."""

import asyncio
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from agent.core.errors import CaselinkError, ConfigError, DomainError, TransientError
from agent.web.api import NewOrder
from agent.web.app import PanelServer, create_app
from agent.web.auth import Sessions, local_token
from tests.web.site import TOKEN, ScriptedLine, Site

ORDER = {
    "number": "WO-9",
    "line": "L1",
    "product": "MILK800",
    "lot": "B1",
    "scheme": "case24",
    "target": 240,
    "pools": {"bottle/body": "bodies"},
}
START = {"order": "WO-9", "by": "Li"}


# Reading the machine's certificates takes longer than the rest of a test, and there is no TLS here.
get = partial(httpx.get, verify=False)
post = partial(httpx.post, verify=False)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site(ScriptedLine())
    yield site
    site.stop()


@pytest.fixture
def line(site: Site) -> ScriptedLine:
    site.line.commands.clear()
    site.line.refuse = None
    return site.line


@pytest.fixture
def page(site: Site, line: ScriptedLine) -> Iterator[httpx.Client]:
    """A client that does what the panel's page does."""
    with httpx.Client(verify=False, base_url=site.url, timeout=5) as client:
        token = client.get("/api/session").json()["csrf"]
        client.headers["x-csrf-token"] = token
        yield client


def test_root_leads_to_the_panel(site: Site) -> None:
    answer = get(site.url + "/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/panel/")
    panel = get(site.url + "/panel/")
    assert panel.status_code == 200
    assert "default-src 'none'" in panel.headers["content-security-policy"]
    assert "unsafe" not in panel.headers["content-security-policy"]
    assert panel.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in panel.headers
    assert "server" not in panel.headers


def test_snapshot_is_the_feeds_object(page: httpx.Client, line: ScriptedLine) -> None:
    assert page.get("/api/lines").json() == {"lines": ["L1"]}
    answer = page.get("/api/lines/L1/snapshot")
    assert answer.json() == line.now
    assert answer.headers["cache-control"] == "no-store"
    missing = page.get("/api/lines/L9/snapshot")
    assert (missing.status_code, missing.json()["reason"]) == (404, "unknown_line")


def test_an_answer_waits_for_no_acknowledgement(page: httpx.Client) -> None:
    """On a connection that is kept, a body behind its head would wait 40 ms for one, each time."""

    def took() -> float:
        began = time.perf_counter()
        page.get("/api/lines")
        return time.perf_counter() - began

    assert min(took() for _ in range(20)) < 0.02


def test_each_command_arrives(page: httpx.Client, line: ScriptedLine) -> None:
    by = {"by": "Li"}
    assert page.post("/api/orders", json=ORDER).status_code == 201
    for path, body in (
        ("start", START),
        ("change", START),
        ("pause", {**by, "why": "break"}),
        ("resume", by),
        ("finish", by),
        ("alarms/L1%2Fverify%2Freject_failed/acknowledge", by),
    ):
        answer = page.post(f"/api/lines/L1/{path}", json=body)
        assert (answer.status_code, answer.json()) == (200, {"done": True})
    assert line.commands == [
        ("create", NewOrder.model_validate(ORDER)),
        ("start", "L1", "WO-9", "Li"),
        ("change", "L1", "WO-9", "Li"),
        ("pause", "L1", "Li", "break"),
        ("resume", "L1", "Li"),
        ("finish", "L1", "Li"),
        ("acknowledge", "L1", "L1/verify/reject_failed", "Li"),
    ]
    assert page.get("/api/trace", params={"code": "KNOWN"}).json() == {"code": "KNOWN"}
    assert page.get("/api/trace", params={"code": "X"}).status_code == 404


def test_a_picture_or_none(page: httpx.Client, line: ScriptedLine) -> None:
    answer = page.get("/api/cameras/camera1/picture")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == line.jpeg
    kept, line.jpeg = line.jpeg, None
    assert page.get("/api/cameras/camera1/picture").status_code == 204
    line.jpeg = kept


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (DomainError("already_running", "Finish it first."), 409, "already_running"),
        (TransientError("The disk is full."), 503, "try_later"),
        (ConfigError("site.toml: no pool"), 500, "config"),
    ],
)
def test_an_error_names_its_remedy(
    page: httpx.Client, line: ScriptedLine, error: CaselinkError, status: int, reason: str
) -> None:
    line.refuse = error
    answer = page.post("/api/lines/L1/start", json=START)
    assert answer.status_code == status
    assert answer.json() == {"reason": reason, "message": str(error)}


def test_no_change_without_the_pages_token(site: Site, line: ScriptedLine) -> None:
    path = site.url + "/api/lines/L1/start"
    with httpx.Client(verify=False, base_url=site.url) as client:
        assert client.post(path, json=START).json()["reason"] == "csrf"
        token = client.get("/api/session").json()["csrf"]
        assert client.post(path, json=START).status_code == 403, "the cookie alone is not enough"
        wrong = {"x-csrf-token": token[:-1] + ("0" if token[-1] != "0" else "1")}
        assert client.post(path, json=START, headers=wrong).status_code == 403
        right = {"x-csrf-token": token}
        assert post(path, json=START, headers=right).status_code == 403, "nor the token alone"
        assert client.post(path, json=START, headers=right).status_code == 200
    assert len(line.commands) == 1


def test_the_cookie_is_strict_and_closed_to_scripts(site: Site) -> None:
    cookie = get(site.url + "/api/session").headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie


def test_the_command_line_has_a_token_of_its_own(site: Site, line: ScriptedLine) -> None:
    path = site.url + "/api/lines/L1/start"
    right = {"authorization": f"Bearer {TOKEN}"}
    assert post(path, json=START, headers=right).status_code == 200
    for wrong in (
        "Bearer",
        "Bearer x",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer " + "x" * 999,
    ):
        assert post(path, json=START, headers={"authorization": wrong}).status_code == 403
    assert len(line.commands) == 1


def test_a_page_cannot_do_what_only_the_command_line_may(page: httpx.Client) -> None:
    for headers in ({}, {"authorization": "Bearer guessed"}):
        answer = page.post("/api/local/pools", json={}, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "local_only")
    right = {"authorization": f"Bearer {TOKEN}"}
    assert page.post("/api/local/pools", json={}, headers=right).status_code == 404
    # Reading there is the command line's too.
    assert page.get("/api/local/lines/L1/account").status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:80", 200),
        ("panel.plant.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost/evil", 421),
        ("", 421),
    ],
)
def test_only_known_host_names(site: Site, host: str, status: int) -> None:
    assert get(site.url + "/api/lines", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_are_refused(
    page: httpx.Client, line: ScriptedLine, headers: dict[str, str]
) -> None:
    answer = page.post("/api/lines/L1/start", json=START, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "bad_origin")
    assert page.get("/api/cameras/camera1/picture", headers=headers).status_code == 403
    assert line.commands == []


def test_our_own_origin_is_welcome(page: httpx.Client, site: Site, line: ScriptedLine) -> None:
    headers = {"origin": site.url, "sec-fetch-site": "same-origin"}
    assert page.post("/api/lines/L1/start", json=START, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 422),
        (b"", 422),
        (b"[]", 422),
        (b"\xff\xfe", 422),
        (b'{"order": "WO-9", "by": "Li", "extra": 1}', 422),
        (b'{"order": 9, "by": "Li"}', 422),
        (b'{"order": "", "by": "Li"}', 422),
        (b'{"order": "' + b"x" * 65 + b'", "by": "Li"}', 422),
        (b" " * (64 * 1024 + 1), 413),
    ],
)
def test_bad_bodies_are_refused(
    page: httpx.Client, line: ScriptedLine, content: bytes, status: int
) -> None:
    answer = page.post(
        "/api/lines/L1/start", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    assert set(answer.json()) == {"reason", "message"}
    assert len(answer.content) < 2000, "what was sent is not echoed"
    assert line.commands == []


def test_an_oversize_body_without_a_length_is_cut_off(page: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 1000

    answer = page.post("/api/orders", content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "change",
    [
        {"target": 0},
        {"target": "240"},
        {"target": True},
        {"lot": ""},
        {"number": "x" * 65},
        {"pools": {f"l/{n}": "p" for n in range(33)}},
        {"produced": "tomorrow"},
        {"unheard": 1},
    ],
)
def test_a_wrong_work_order_is_refused(
    page: httpx.Client, line: ScriptedLine, change: dict[str, object]
) -> None:
    answer = page.post("/api/orders", json=ORDER | change)
    assert (answer.status_code, answer.json()["reason"]) == (422, "bad_request")
    assert next(iter(change)) in answer.json()["message"], "it names the field"
    assert line.commands == []


def test_a_file_that_did_not_change_is_not_sent_again(site: Site) -> None:
    first = get(site.url + "/panel/main.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = {"if-none-match": first.headers["etag"]}
    second = get(site.url + "/panel/main.js", headers=again)
    assert (second.status_code, second.content) == (304, b"")


def test_nothing_outside_the_panel_is_served(site: Site) -> None:
    for path in (
        "/panel/..%2fapp.py",
        "/panel/%2e%2e/app.py",
        "/static/../auth.py",
        "/docs",
        "/panel/x.js",
    ):
        assert get(site.url + path).status_code == 404


def test_the_local_token_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "web.token"
    token = local_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) > 30
    assert local_token(path) == token
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        local_token(path)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(ConfigError, match="delete the file"):
        local_token(path)


def test_a_token_is_bound_to_its_cookie_and_its_process() -> None:
    ours, theirs = Sessions(), Sessions()
    cookie, other = ours.new_cookie(), ours.new_cookie()
    assert ours.valid(cookie, ours.token(cookie))
    assert not ours.valid(other, ours.token(cookie))
    assert not theirs.valid(cookie, ours.token(cookie))
    assert not ours.valid("", ours.token(""))
    assert not ours.valid(cookie, "ü")


def test_a_port_in_use_is_named(site: Site) -> None:
    async def second() -> None:
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{site.port}.*web.port"):
            PanelServer(create_app(site.line), "127.0.0.1", site.port)

    asyncio.run(second())


def test_a_bypass_is_asked_for_with_a_pin_that_no_answer_repeats(
    site: Site, line: ScriptedLine
) -> None:
    right = {"authorization": f"Bearer {TOKEN}"}
    path = f"{site.url}/api/lines/L1/bypass"
    body = {"by": "wang", "pin": "480217", "reason": "camera broken", "minutes": 10}
    assert post(path, json=body, headers=right).status_code == 200
    assert post(f"{path}/end", json={"by": "li"}, headers=right).status_code == 200
    (_, _, asked), ended = line.commands
    assert (asked.by, asked.reason, asked.minutes) == ("wang", "camera broken", 10)
    assert ended == ("end_bypass", "L1", "li")
    for wrong in ({"minutes": 0}, {"reason": ""}, {"pin": "480217" * 20}, {"more": 1}):
        answer = post(path, json=body | wrong, headers=right)
        assert answer.status_code == 422
        assert "480217" not in answer.text
    assert len(line.commands) == 2


def test_test_mode_is_begun_with_an_order_and_ended(site: Site, line: ScriptedLine) -> None:
    right = {"authorization": f"Bearer {TOKEN}"}
    path = f"{site.url}/api/lines/L1/test-mode"
    assert post(path, json={"order": "WO-1", "by": "wang"}, headers=right).status_code == 200
    assert post(f"{path}/end", json={"by": "li"}, headers=right).status_code == 200
    assert line.commands == [("test_mode", "L1", "WO-1", "wang"), ("end_test_mode", "L1", "li")]
    assert post(path, json={"by": "wang"}, headers=right).status_code == 422
    assert post(path, json={"order": "WO-1", "by": "wang"}).status_code == 403
    assert len(line.commands) == 2
