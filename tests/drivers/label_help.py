"""What tests print on the labels of config/labels, and what must then be read from them."""

from agent.services.document_slip import slip_fields
from drivers.printers.label_files import LABELS as FOLDER

LABELS = sorted(path.stem for path in FOLDER.glob("*.toml"))
SSCC = "069012345600000121"
CASE = "https://q.example.cn/01/06901234567892/21/A7^~_C9"
ITEM = "(01)06901234567892(10)L_1%(21)A7C9F3"

_SLIP = {
    "number": SSCC,
    "kind": "ship",
    "paper": "PO-7",
    "location": "DOCK",
    "to": "",
    "lines": [{"product": "COLA", "level": "case", "quantity": 4, "lot": "L1", "pieces": 96}] * 9,
}
_GOODS = {
    "level": "case",
    "count": "48",
    "gtin": "06901234567892",
    "lot": "L20261122A",
    "produced": "2026-11-22",
    "expires": "2027-11-21",
    "operator": "王小明",
    "product": "cola",
    "product_zh": "可口可乐 经典 ^XZ~JA 500 毫升",
    "product_en": 'Cola "Classic" \\ 500 ml\r\nPRINT 1',
}


def fields(label: str) -> dict[str, str]:
    """What a job for the label holds: every field that any of them has."""
    if label in ("slip", "receipt"):
        return slip_fields(_SLIP, "Dealer East 东方贸易", "2026-11-22 06:00")[0]
    return _GOODS | {"code": {"case": CASE, "case-gs1": ITEM}.get(label, SSCC)}


def symbols(label: str) -> list[str]:
    """The data of its symbols in the template's order, GS for an inner FNC1."""
    match label:
        case "case":
            return [CASE]
        case "case-gs1":
            return ["010690123456789210L_1%\x1d21A7C9F3"]
        case "pallet":
            return ["00" + SSCC]
        case "pallet-gs1":
            return [SSCC, "0206901234567892152711213748", "00" + SSCC]
        case "slip" | "receipt":
            return [SSCC]
    raise AssertionError(f"say here what stands on the label {label}")
