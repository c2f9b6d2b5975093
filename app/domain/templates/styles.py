"""Rules that hold only on some screens, kept stronger than the styles that were written into elements."""

import re

_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.IGNORECASE | re.DOTALL)
_MEDIA = re.compile(r"@media\b[^{}]*\{", re.IGNORECASE)
_RULE = re.compile(r"([^{}@]+)\{([^{}]*)\}")
# A declaration ends at a semicolon that is neither in a text nor in brackets.
_DECLARATION = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\([^()]*\)|[^;\"'()])+")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def with_strong_media(html: str) -> str:
    """Mark what is declared under @media as important: an element's own style would win over it else."""
    return _STYLE.sub(lambda found: f"{found[1]}{_strong(found[2])}{found[3]}", html)


def _strong(css: str) -> str:
    css = _COMMENT.sub("", css)
    pieces, position = [], 0
    for media in _MEDIA.finditer(css):
        if media.start() < position:
            continue
        end = _end_of_block(css, media.end())
        pieces += [css[position : media.end()], _RULE.sub(_marked, css[media.end() : end])]
        position = end
    return "".join([*pieces, css[position:]])


def _end_of_block(css: str, start: int) -> int:
    depth = 1
    for brace in re.finditer(r"[{}]", css[start:]):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return start + brace.start()
    return len(css)


def _marked(rule: re.Match[str]) -> str:
    declarations = (each.strip() for each in _DECLARATION.findall(rule[2]))
    marked = [each if "!important" in each else f"{each} !important" for each in declarations if each]
    return f"{rule[1]}{{ {'; '.join(marked)} }}"
