"""Power may fail at any instruction: kill -9 between and within commits, then open again."""

import random
import subprocess
import sys
from pathlib import Path

from agent.store import journal
from agent.store.verify import verify
from tests.store.store_help import Plant

ROUNDS = 4

_WRITER = """
import sys
from pathlib import Path
from tests.store.store_help import Plant

plant = Plant(Path(sys.argv[1]), bottles=20_000)
(last,) = plant.conn.execute("SELECT coalesce(max(unit), 0) FROM code").fetchone()
plant.writer.start()
for unit in range(last + 1, 20_000):
    facts = (plant.bottle(unit, unit),)
    from tests.store.store_help import LINE, at
    from agent.store.record import record
    job = lambda conn: record(conn, LINE, facts, at(unit))
    print(plant.writer.submit(job).result(10), flush=True)
"""


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path) -> None:
    plant = Plant(tmp_path, bottles=20_000).load()
    seq = journal.tail(plant.conn)[0]
    plant.close()
    rng = random.Random(7)
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        answered = seq
        for _ in range(rng.randrange(1, 300)):
            answered = int(child.stdout.readline())
        child.kill()
        rest = child.stdout.read().split()
        child.stdout.close()
        child.wait(10)
        # The last line may be cut short by the kill.
        answered = max([answered, *(int(line) for line in rest[:-1])])
        plant.open()
        seq = journal.tail(plant.conn)[0]
        assert seq >= answered
        (units,) = plant.conn.execute("SELECT count(*) FROM code WHERE unit > 0").fetchone()
        assert units == seq - 6, "journal and tables were not kept together"
        plant.close()
    plant.open()
    assert verify(plant.conn).problems == []
    plant.close()
