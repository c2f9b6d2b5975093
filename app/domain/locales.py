"""Languages, as templates are written in them and messages ask for them."""


def fallbacks(locale: str | None) -> list[str | None]:
    """Give the locales to look for in their order: zh-Hant-TW, zh-Hant, zh, and the one without a name."""
    subtags = locale.split("-") if locale else []
    return ["-".join(subtags[:count]) for count in range(len(subtags), 0, -1)] + [None]
