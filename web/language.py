"""Chooses Chinese or English for a request."""

from bot.catalogue import UiLanguage


def ui_language(wanted: str) -> UiLanguage:
    """Returns the language of an `Accept-Language` header or a tag; English where unsure.

    Quality values are honoured; of equal ones the first wins (RFC 9110, section 12.5.4).
    """
    best: UiLanguage = "en"
    best_quality = 0.0
    for part in wanted[:200].split(","):
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().replace("_", "-").split("-")[0]
        quality = _quality(parameters)
        if quality > best_quality and primary in ("zh", "en"):
            best = "zh" if primary == "zh" else "en"
            best_quality = quality
    return best


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
