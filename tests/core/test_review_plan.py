"""What is found wrong must be taken off by somebody: a line that cannot may not run."""

from dataclasses import replace

from tests.core.lines import LABEL, PACKER, VERIFY, WHOLE, WHOLE_PATHS, chain


def test_a_zone_whose_last_camera_has_no_gate_is_refused() -> None:
    assert chain(*WHOLE, paths=WHOLE_PATHS).problems() == []
    for blind in (VERIFY, LABEL):
        stations = [replace(s, gate=False) if s is blind else s for s in WHOLE]
        (problem,) = chain(*stations, paths=WHOLE_PATHS).problems()
        assert problem.startswith(f"station {blind.id}: nothing after it in its zone has a gate")


def test_a_gate_further_on_in_the_zone_is_enough() -> None:
    stations = [replace(s, gate=False) if s is PACKER else s for s in WHOLE]
    assert chain(*stations, paths=WHOLE_PATHS).problems() == []
