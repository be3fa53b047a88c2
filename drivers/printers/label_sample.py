"""Values for a label that nobody has printed yet: what a preview shows."""

import re

from drivers.printers.label_template import GS1, LabelTemplate

SSCC = "069012345600000121"
ITEM = "(01)06901234567892(21)A7C9F3"
LINK = "https://q.example.cn/01/06901234567892/21/A7C9F3"

_USUAL = {
    "level": "case",
    "count": "24",
    "gtin": "06901234567892",
    "product": "SKU-1",
    "product_zh": "示例产品 500 毫升",
    "product_en": "Sample product 500 ml",
    "order": "WO-1",
    "lot": "L20261122",
    "produced": "2026-11-22",
    "expires": "2027-11-21",
    "shift": "A",
    "operator": "王小明",
    "kind": "出库 Ship",
    "number": "SHP-20261122-1",
    "party": "东方贸易 Eastern Trade",
    "paper": "PO-7",
    "printed": "2026-11-22 08:00",
    "total": "3 / 72",
    "page": "1 / 1",
}


def sample(template: LabelTemplate) -> dict[str, str]:
    """A value for every field of the label that its elements can carry."""
    found = {}
    for name in template.fields:
        alone = {one.kind for one in template.elements if one.source.strip() == f"{{{name}}}"}
        if "sscc" in alone:
            found[name] = SSCC
        elif alone & GS1:
            found[name] = ITEM
        elif re.fullmatch(r"line([1-9]|10)", name):
            found[name] = f"{name[4:]} case  SKU-{name[4:]}  L20261122"
        else:
            found[name] = _USUAL.get(name, LINK if alone - {"text"} else name)
    return found
