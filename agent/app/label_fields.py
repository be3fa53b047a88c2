"""What a container's label can show: the fields of a print job (docs/labels.md)."""

from collections.abc import Mapping

from agent.core.effects import PrintLabel
from agent.sections import ProductSection


def label_fields(
    products: Mapping[str, ProductSection], role: str, effect: PrintLabel, text: str
) -> dict[str, str]:
    """The fields by name; what is not known is empty. The code stands under `code` and under its
    role, the product's name under `product_zh` and `product_en` whatever languages it has."""
    order = effect.order
    product = products.get(order.product) if order is not None else None
    names = {str(tag).lower(): name for tag, name in product.names.items()} if product else {}
    sku = order.product if order is not None else ""
    other = next(iter(names.values()), sku)
    return {
        **{f"product_{tag}": name for tag, name in names.items()},
        "product_zh": names.get("zh", other),
        "product_en": names.get("en", other),
        "product": sku,
        "gtin": product.gtin if product is not None else "",
        "order": order.number if order is not None else "",
        "lot": order.lot if order is not None else "",
        "produced": order.produced if order is not None else "",
        "expires": order.expires if order is not None else "",
        "shift": order.shift if order is not None else "",
        "operator": effect.by,
        "level": effect.level,
        "count": str(effect.count),
        role: text,
        "code": text,
    }
