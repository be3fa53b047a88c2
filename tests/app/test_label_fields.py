"""What a container's label can show, from its order, its product and who started the line."""

from pathlib import Path

from agent.app.label_fields import label_fields
from agent.core.effects import PrintLabel
from agent.sections import ProductSection
from drivers.printers.label_files import LABELS, load_label
from drivers.printers.label_template import lay_out
from drivers.printers.zpl_label import recall
from tests.core.lines import Line, filled, shown

COLA = ProductSection.model_validate(
    {"names": {"zh": "可乐", "en": "Cola"}, "gtin": "06901234567892"}
)


def effect(folder: Path) -> PrintLabel:
    with Line(folder).start() as line:
        filled(line, 0, 1)
        done = shown(line, "B-0000", "B-0001")
    return next(one for one in done.effects if isinstance(one, PrintLabel))


def test_a_label_shows_its_order_its_product_and_who_started_it(tmp_path: Path) -> None:
    wanted = effect(tmp_path)
    order = wanted.order
    assert order is not None
    fields = label_fields({order.product: COLA}, "case-outer", wanted, "C-0000")
    assert fields["code"] == fields["case-outer"] == "C-0000"
    assert (fields["product"], fields["order"], fields["lot"]) == (
        order.product,
        order.number,
        order.lot,
    )
    assert (fields["product_zh"], fields["product_en"]) == ("可乐", "Cola")
    assert (fields["level"], fields["count"]) == ("case", "2")
    assert fields["operator"] == wanted.by != ""
    assert (fields["produced"], fields["expires"]) == (order.produced, order.expires)


def test_what_is_not_known_is_empty_and_a_missing_language_shows_another(tmp_path: Path) -> None:
    wanted = effect(tmp_path)
    assert wanted.order is not None
    only = ProductSection.model_validate({"names": {"en": "Cola"}})
    fields = label_fields({wanted.order.product: only}, "case-outer", wanted, "C-0000")
    assert (fields["product_zh"], fields["gtin"]) == ("Cola", "")
    bare = PrintLabel("label", 3, 1, wanted.key, "case", 2)
    fields = label_fields({}, "case-outer", bare, "C-0000")
    assert (fields["product"], fields["product_zh"], fields["lot"], fields["operator"]) == ("",) * 4


def test_the_labels_of_containers_need_nothing_that_a_line_does_not_give(tmp_path: Path) -> None:
    wanted = effect(tmp_path)
    assert wanted.order is not None
    given = label_fields({wanted.order.product: COLA}, "pallet", wanted, "C-0000")
    for path in LABELS.glob("*.toml"):
        template = load_label(path.stem, "x")
        if path.stem not in ("slip", "receipt"):
            assert set(template.fields) <= set(given), path.stem
    assert recall("CL0", lay_out(load_label("case", "x"), 8), given)
