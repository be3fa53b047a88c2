"""One URI for each code: what reads as a URI stays, everything else is named by us."""

import pytest

from sync.uris import Identity, wrong_digital_link

ME = Identity("brand", "plant", "edge")


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("https://q.example.cn/AbC", "https://q.example.cn/AbC"),
        (
            "https://id.gs1.org/01/06901234000016/21/A1",
            "https://id.gs1.org/01/06901234000016/21/A1",
        ),
        ("ABC-123", "https://id.caselink.example/code/ABC-123"),
        ("箱 7/8", "https://id.caselink.example/code/%E7%AE%B1%207%2F8"),
        # No URI by the letter of RFC 3986, and a wrong check digit where any reader sees a GTIN.
        (
            "https://q.example.cn/码",
            "https://id.caselink.example/code/https%3A%2F%2Fq.example.cn%2F%E7%A0%81",
        ),
        (
            "https://q.example.cn/01/12345678901234",
            "https://id.caselink.example/code/https%3A%2F%2Fq.example.cn%2F01%2F12345678901234",
        ),
    ],
)
def test_a_code_has_one_uri(text: str, uri: str) -> None:
    assert ME.code(text) == uri


def test_digital_links_are_checked_wherever_they_stand() -> None:
    assert wrong_digital_link("https://a.cn/x/01/06901234000016/21/1") is None
    assert wrong_digital_link("https://a.cn/x/01/06901234000017/21/1") == "01/06901234000017"
    assert wrong_digital_link("https://a.cn/00/069012340000123457") == "00/069012340000123457"
    assert wrong_digital_link("https://a.cn/01/123") is None


def test_products_and_secrets_are_named_without_their_text() -> None:
    assert ME.secret("caps 7", "cap-inner", 12) == (
        "https://id.caselink.example/pool/caps%207/cap-inner/12"
    )
    with_gtin = Identity("b", "p", "e", gtins={"sku": "6901234000016"})
    assert with_gtin.lot("sku", "L/1") == "https://id.gs1.org/01/06901234000016/10/L%2F1"
    assert ME.product("sku") == "https://id.caselink.example/product/sku"
