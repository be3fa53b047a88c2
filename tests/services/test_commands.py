"""Commands of the cloud at an agent: applied once, whole or not at all, answered with a reason."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from agent import config as site_config
from agent import site_file
from agent.core import facts as f
from agent.services.devices import Devices
from agent.services.devices import Wanted as Invited
from agent.store import commands as stored
from agent.store import verify
from sync import messages, parts
from sync.kinds import Asn, Coming, Config, Dispatch, Order, Party, Product, Resend, Revoke, Wanted
from sync.messages import Command
from sync.sealed import BoxKey, seal
from tests.services.desk_help import NAME, Box, cut, final, head, pool_file, sealed
from tests.services.pda_help import Key


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "box")
    yield made
    made.close()


def done(box: Box) -> list[f.CommandDone]:
    return [fact for fact in box.facts(f.CommandDone) if isinstance(fact, f.CommandDone)]


def nothing_of_it(box: Box) -> None:
    """No pool, no code, no part is left of what was refused."""
    assert box.facts(f.PoolImported) == []
    for table in ("pool", "code", "pool_code", "code_index", "staging", "inbox", "inbox_part"):
        assert box.count(table) == 0, table


# ------------------------------------------------------------------------------------------ pools


def test_a_pool_arrives_in_any_order_and_is_imported_once(box: Box) -> None:
    file = pool_file(9_000)
    commands = cut("p-1", "pool", sealed(box.key.public, "p-1", file))
    assert len(commands) > 2
    mixed = commands * 2
    random.Random(1).shuffle(mixed)
    answers = box.say(*mixed)
    first = next(n for n, answer in enumerate(answers) if answer.ok)
    assert {answer.reason for answer in answers[:first]} == {"incomplete"}
    assert all(answer == answers[first] for answer in answers[first:])
    assert answers[first].body["codes"] == 9_000
    assert len(box.facts(f.PoolImported)) == 1
    assert [fact.id for fact in done(box)] == ["p-1"]
    assert box.count("code") == 9_000
    assert (box.count("inbox"), box.count("inbox_part")) == (0, 0)
    box.sound()


def test_the_answer_to_a_part_says_what_is_missing(box: Box) -> None:
    commands = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(20_000)))
    last = len(commands) - 1
    assert last >= 4
    assert box.say(commands[2])[0].body == {"missing": [[0, 1], [3, last]]}
    assert box.say(commands[2])[0].body == {"missing": [[0, 1], [3, last]]}
    box.reopen()
    assert box.say(commands[0])[0].body == {"missing": [[1, 1], [3, last]]}
    rest = [each for each in commands if each.n not in (0, 2)]
    assert final(box.say(*rest))[-1].ok


def test_what_was_done_is_answered_in_the_same_words_for_ever(box: Box) -> None:
    commands = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(10)))
    (said,) = box.say(*commands)
    assert said.ok
    box.reopen()
    assert box.say(*commands) == [said]
    box.plant.writer.wait(verify.rebuild)
    assert box.say(*commands) == [said]
    assert len(done(box)) == 1
    box.sound()


def test_a_pool_for_another_agent_or_command_is_refused(box: Box) -> None:
    file = pool_file(10)
    for id_, content in {
        "key": sealed(BoxKey.new().public, "key", file),
        "agent": sealed(box.key.public, "agent", file, to="acme/plant-1/other"),
        "command": sealed(box.key.public, "another", file),
    }.items():
        answer = box.ask(id_, "pool", content)
        assert (answer.ok, answer.reason) == (False, "not_for_us")
        assert "present key" in answer.text
    assert box.ask("clear", "pool", file).reason == "not_sealed"
    nothing_of_it(box)


def test_a_changed_part_is_noticed_and_nothing_stays(box: Box) -> None:
    content = sealed(box.key.public, "p-1", pool_file(6_000))
    commands = cut("p-1", "pool", content)
    piece = parts.piece(commands[1])
    assert isinstance(piece, parts.Piece)
    worse = bytes([piece.data[0] ^ 1]) + piece.data[1:]
    commands[1] = parts.command("p-1", piece.what, 1, worse)
    answer = final(box.say(*commands))[-1]
    assert (answer.ok, answer.reason) == (False, "checksum_wrong")
    nothing_of_it(box)
    # As a new command it goes through.
    assert box.ask("p-2", "pool", sealed(box.key.public, "p-2", pool_file(6_000))).ok


def test_parts_of_two_commands_under_one_id_are_refused(box: Box) -> None:
    one = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(6_000)))
    two = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(6_000)))
    assert box.say(one[0])[0].reason == "incomplete"
    assert box.say(two[1])[0].reason == "parts_differ"
    nothing_of_it(box)


def test_another_command_under_an_id_that_is_taken_is_refused(box: Box) -> None:
    assert box.ask("c-1", "product", Product(sku="A")).ok
    assert box.ask("c-1", "product", Product(sku="B")).reason == "id_reused"
    assert box.ask("c-1", "resend", Resend(first=1)).reason == "id_reused"
    assert box.resent == []
    assert [fact.body for fact in done(box)] == ['{"key":"A"}']


def test_a_pool_file_with_a_mistake_is_refused_whole(box: Box) -> None:
    file = pool_file(100) + b"two,cells\n"
    answer = box.ask("p-1", "pool", sealed(box.key.public, "p-1", file))
    assert (answer.ok, answer.reason) == (False, "pool_refused")
    assert "line 102" in answer.text
    answer = box.ask("p-2", "pool", sealed(box.key.public, "p-2", pool_file(5), head(count=6)))
    assert answer.reason == "pool_refused"
    wrong_roles = head(secret=["cap"])
    answer = box.ask("p-3", "pool", sealed(box.key.public, "p-3", pool_file(5), wrong_roles))
    assert answer.reason == "pool_bad_declaration"
    nothing_of_it(box)
    assert box.ask("p-4", "pool", sealed(box.key.public, "p-4", pool_file(5))).ok
    again = box.ask("p-5", "pool", sealed(box.key.public, "p-5", pool_file(5)))
    assert again.reason == "pool_exists"
    assert len(box.facts(f.PoolImported)) == 1


def test_a_pool_by_rule_comes_without_a_file(box: Box) -> None:
    answer = box.ask("p-1", "pool", sealed(box.key.public, "p-1", b"", head(rule="RULE-")))
    assert answer.ok, answer.text
    assert box.count("pool") == 1


def packed_as(box: Box, id_: str, packed: bytes) -> bytes:
    return seal(box.key.public, packed, f"{NAME}/{id_}")


def test_a_bomb_is_not_unpacked(box: Box) -> None:
    packer = zstandard.ZstdCompressor(level=1).compressobj(size=1 << 30)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1 << 10)) + packer.flush()
    assert len(bomb) < 200_000
    answer = box.ask("p-1", "pool", packed_as(box, "p-1", bomb))
    assert (answer.ok, answer.reason) == (False, "command_bomb")
    assert "nothing was unpacked" in answer.text
    for n, junk in enumerate((b"junk", zstandard.compress(b"no heading"), bomb[:50])):
        answer = box.ask(f"j-{n}", "pool", packed_as(box, f"j-{n}", junk))
        assert answer.reason in {"command_badly_compressed", "command_malformed", "command_bomb"}
    nothing_of_it(box)


# ------------------------------------------------------------------------------- reference data


def test_reference_data_is_kept_and_replaced(box: Box) -> None:
    shop = Party(id="S-1", kind="shop", territories=["east"], channels=["own_stores"])
    asked: dict[str, msgspec.Struct] = {
        "product": Product(sku="COLA-500", names={"zh": "可乐"}, gtin="4006381333931"),
        "party": shop,
        "dispatch": Dispatch(number="D-1", party="S-1", lines=[_wanted()]),
        "asn": Asn(number="A-1", sender="F-1", units=[Coming(code="X", level="case")]),
        "revoke": Revoke(device="PDA-3", why="lost"),
    }
    for kind, model in asked.items():
        answer = box.ask(f"c-{kind}", kind, model)
        assert answer.ok, answer.text
    moved = msgspec.structs.replace(shop, territories=["west"])
    assert box.ask("c-moved", "party", moved).ok
    with box.readers.connection() as conn:
        found = stored.reference(conn, "party", "S-1")
        assert found is not None
        assert msgspec.json.decode(found.body, type=Party) == moved
        assert [each.key for each in stored.references(conn, "revoked")] == ["PDA-3"]
        assert len(stored.references(conn, "product")) == 1
        assert stored.references(conn, "dispatch")[0].key == "D-1"
        assert stored.references(conn, "asn")[0].key == "A-1"
    box.sound()
    before = [box.count("reference"), box.count("command")]
    box.plant.writer.wait(verify.rebuild)
    assert [box.count("reference"), box.count("command")] == before == [5, 6]


def _wanted() -> Wanted:
    return Wanted(product="COLA-500", level="case", quantity=5)


@pytest.mark.parametrize(
    ("kind", "content", "reason", "why"),
    [
        ("sing", b"{}", "unknown_kind", "update it"),
        ("product", b"{}", "command_malformed", "sku"),
        ("product", b'{"sku":"A","colour":"red"}', "command_malformed", "colour"),
        ("product", b'{"sku":"A","gtin":"4006381333930"}', "command_malformed", "check digit"),
        ("party", b'{"id":"A","kind":"king"}', "command_malformed", "king"),
        ("dispatch", b'{"number":"D","party":"P","lines":[]}', "command_malformed", "lines"),
        ("resend", b'{"from":0}', "command_malformed", "from"),
        ("config", b'{"file":""}', "command_malformed", "file"),
    ],
)
def test_what_is_not_what_its_kind_is_gets_a_reason(
    box: Box, kind: str, content: bytes, reason: str, why: str
) -> None:
    command = Command(id="c-1", kind=kind, body=msgspec.Raw(content))
    payload = b'{"id":"c-1","kind":"%s","body":%s}' % (kind.encode(), content)
    answer = box.send(payload)
    assert (answer.ok, answer.reason) == (False, reason)
    assert why in answer.text
    assert box.count("reference") == 0
    assert [fact.reason for fact in done(box)] == [reason]
    assert box.say(command) == [answer]


def test_the_word_of_the_cloud_revokes_a_device_that_is_here(box: Box) -> None:
    places = {"F01": ["DOCK"]}
    devices = Devices(box.readers, box.plant.writer, places)
    code = devices.invite(Invited("one", "F01", (), ("ship",), "li"))
    device = devices.enrol(code.text, Key().jwk, "").device.id
    for n in range(2):
        assert box.ask(f"r-{n}", "revoke", Revoke(device=device, why="lost")).ok
    assert box.facts(f.DeviceRevoked) == [f.DeviceRevoked(device, "cloud", "lost")]
    ((shown, _),) = devices.every()
    assert shown.revoked_by == "cloud"
    box.sound()


def test_what_is_too_large_is_refused(box: Box) -> None:
    answer = box.ask("c-1", "config", Config(file="\n" * 900_000))
    assert (answer.ok, answer.reason) == (False, "command_too_large")
    assert (box.count("reference"), box.count("inbox_part")) == (0, 0)
    huge = b'{"id":"c-2","kind":"asn","body":"%s"}' % (b"x" * 2_000_000)
    assert box.send(huge).reason == "oversized"


def test_messages_that_are_no_commands(box: Box) -> None:
    assert box.maybe(b"junk") is None
    assert box.maybe(b'{"kind":"order"}') is None
    assert box.maybe(b'{"id":"c-1","kind":"order","body":{"number":"\\ud800"}}') is None
    deep = b"[" * 30_000 + b"]" * 30_000
    assert box.maybe(b'{"id":"c-1","kind":"asn","body":%s}' % deep) is None
    future = box.send(b'{"v":9,"id":"c-1","kind":"product","body":{"sku":"A"}}')
    assert (future.ok, future.reason) == (False, "future_version")
    assert "update" in future.text
    assert box.send(b'{"id":"c-1","kind":"order","n":2,"of":2}').reason == "malformed"
    # Nothing was decided: after an update the same command may be taken.
    assert box.facts(f.CommandDone) == []
    assert box.ask("c-1", "product", Product(sku="A")).ok


# -------------------------------------------------------------------- orders, config, the rest


def order(**more: object) -> Order:
    given: dict[str, object] = {
        "number": "WO-7",
        "line": "L1",
        "product": "COLA-500",
        "lot": "B1",
        "scheme": "bottling",
        "target": 100,
        **more,
    }
    return Order(**given)  # type: ignore[arg-type]


def ready(box: Box) -> Order:
    """A work order that the example line takes, its pools imported."""
    site = box.site
    scheme = next(iter(site.schemes))
    roles = {"bottle": "bottle", "case": "case", "pallet": "pallet"}
    pools = {}
    for line in site.lines:
        for station in line.stations:
            if station.role and station.printer:
                name = f"{station.level}-{station.role}"
                heading = msgspec.structs.replace(
                    head(name), level=roles[station.level], roles=[station.role]
                )
                rows = "".join(f"https://q.example.cn/{name}/{n:08d}\n" for n in range(50))
                file = f"{station.role}\n{rows}".encode()
                if station.role == "sscc" or station.level == "pallet":
                    heading = msgspec.structs.replace(heading, gs1=None)
                answer = box.ask(name, "pool", sealed(box.key.public, name, file, heading))
                assert answer.ok, answer.text
                pools[f"{station.level}/{station.role}"] = name
    return order(
        line=site.lines[0].id, product=next(iter(site.products)), scheme=scheme, pools=pools
    )


def test_a_work_order_is_created_once(box: Box) -> None:
    wanted = ready(box)
    answer = box.ask("o-1", "order", wanted)
    assert answer.ok, answer.text
    created = box.order("WO-7")
    assert created is not None
    assert created.lot == "B1"
    assert box.ask("o-1", "order", wanted) == answer
    # The same again, as after a power cut between the order and the word that it is done.
    assert box.ask("o-2", "order", wanted).ok
    assert len(box.facts(f.OrderCreated)) == 1
    other = msgspec.structs.replace(wanted, lot="B2")
    assert box.ask("o-3", "order", other).reason == "order_exists"
    unknown = msgspec.structs.replace(wanted, number="WO-8", product="COLA-999")
    assert box.ask("o-4", "order", unknown).reason == "product_unknown"
    assert box.ask("c-5", "product", Product(sku="COLA-999")).ok
    assert box.ask("o-6", "order", unknown).ok
    wrong_line = msgspec.structs.replace(wanted, number="WO-9", line="L9")
    assert box.ask("o-7", "order", wrong_line).reason == "unknown_line"
    box.sound()


def test_a_resend_reaches_the_way_to_the_cloud(box: Box) -> None:
    answer = box.ask("r-1", "resend", Resend(first=7))
    assert answer.ok
    assert box.ask("r-1", "resend", Resend(first=7)) == answer
    assert box.resent == [7]


def test_a_site_file_is_checked_kept_and_in_effect_at_the_next_start(box: Box) -> None:
    text = box.config.read_text("utf-8")
    port = box.site.web.port
    assert f"port = {port}" in text or port == 8080
    better = text.replace("[agent]", "# better\n[agent]", 1)
    better += "\n[products.NEW-1]\nnames = { en = 'New' }\n"
    answer = box.ask("f-1", "config", Config(file=better))
    assert answer.ok, answer.text
    assert "next start" in answer.text
    assert "NEW-1" not in site_config.load(box.config).products
    site_file.begin(box.config)
    assert "NEW-1" in site_config.load(box.config).products
    assert box.config.read_text("utf-8") == text
    site_file.begin(box.config)
    assert "NEW-1" in site_config.load(box.config).products
    # A person at the machine has the last word.
    box.config.write_text(text + "\n# edited\n", "utf-8")
    assert "NEW-1" not in site_config.load(box.config).products


def test_a_wrong_site_file_leaves_the_present_one(box: Box) -> None:
    text = box.config.read_text("utf-8")
    for n, (file, reason, why) in enumerate(
        [
            (text + "\n[oops]\n", "config_refused", "oops"),
            ("not toml", "config_refused", "not TOML"),
            (text.replace(f'id = "{box.site.agent.id}"', 'id = "other"'), "config_other_agent", ""),
        ]
    ):
        answer = box.ask(f"f-{n}", "config", Config(file=file))
        assert (answer.ok, answer.reason) == (False, reason)
        assert why in answer.text
        assert "draft" not in answer.text
    assert sorted(path.name for path in box.data.glob("site*")) == []


# ------------------------------------------------------------------------------------- troubles


def test_too_many_unfinished_commands_push_the_oldest_out(box: Box) -> None:
    several = {
        f"p-{n}": cut(f"p-{n}", "pool", sealed(box.key.public, f"p-{n}", pool_file(6_000)))
        for n in range(stored.MOST_OPEN + 1)
    }
    for commands in several.values():
        box.say(commands[0])
    assert box.count("inbox") == stored.MOST_OPEN
    first = box.say(several["p-0"][1])[0]
    assert first.body["missing"][0] == [0, 0]


def test_a_command_goes_on_when_its_connection_is_lost(box: Box) -> None:
    *others, last = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(9_000)))
    box.say(*others)
    payload = messages.write(last)

    async def main() -> bytes | None:
        waiting = asyncio.create_task(box.inbox.take(payload))
        while not await asyncio.to_thread(box.count, "staging"):  # the import has begun
            assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        said = await box.inbox.take(payload)
        await box.inbox.close()
        return said

    said = asyncio.run(main())
    assert said is not None
    answer = messages.read(messages.Answer, said)
    assert isinstance(answer, messages.Answer)
    assert answer.ok
    assert len(box.facts(f.PoolImported)) == 1
    assert box.count("inbox_part") == 0


def test_a_store_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    box = Box(tmp_path / "box")
    commands = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(10)))
    box.plant.writer.close()
    answer = box.say(*commands)[-1]
    assert (answer.ok, answer.reason) == (False, "try_later")
    box.readers.close()
    box.plant.close()
    box.open()
    assert box.say(*commands)[-1].ok
    box.close()


def test_an_import_by_a_person_makes_the_cloud_wait(box: Box) -> None:
    def occupy(conn: object) -> None:
        conn.execute("INSERT INTO staging (pool) VALUES (99)")  # type: ignore[attr-defined]
        conn.importing = 99  # type: ignore[attr-defined]

    def free(conn: object) -> None:
        conn.importing = None  # type: ignore[attr-defined]

    commands = cut("p-1", "pool", sealed(box.key.public, "p-1", pool_file(10)))
    box.plant.writer.wait(occupy)
    assert box.say(*commands)[-1].reason == "try_later"
    assert box.facts(f.CommandDone) == []
    box.plant.writer.wait(free)
    assert box.say(*commands)[-1].ok
