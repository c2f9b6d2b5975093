"""QR codes (ISO/IEC 18004): text as squares that a telephone's camera reads.

Bytes only, versions 1 to 10 at error correction level M, which holds 213 bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import chain, pairwise, repeat, zip_longest

Matrix = list[list[bool]]

MOST = 213  # bytes

# Of versions 1 to 10 at level M.
_CORRECTING = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26)
_BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5)
_ALIGNED = (
    (),
    (6, 18),
    (6, 22),
    (6, 26),
    (6, 30),
    (6, 34),
    (6, 22, 38),
    (6, 24, 42),
    (6, 26, 46),
    (6, 28, 50),
)

_LEVEL_M = 0
_LONG_COUNT = 10
_FIELD = 0x11D
_FORMAT, _FORMAT_MASK = 0x537, 0x5412
_VERSION = 0x1F25
_FIRST_WITH_VERSION = 7
_MASKS: tuple[Callable[[int, int], int], ...] = (
    lambda x, y: (x + y) % 2,
    lambda _x, y: y % 2,
    lambda x, _y: x % 3,
    lambda x, y: (x + y) % 3,
    lambda x, y: (x // 3 + y // 2) % 2,
    lambda x, y: x * y % 2 + x * y % 3,
    lambda x, y: (x * y % 2 + x * y % 3) % 2,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2,
)


def squares(text: str) -> Matrix:
    """Draw a text; True is dark, the quiet edge is not included. Raises ValueError for too long a text."""
    data = text.encode()
    version = next((v for v in range(1, 11) if len(data) <= _room(v)), None)
    if version is None:
        raise ValueError(f"{len(data)} bytes are more than a code holds")
    bits = _interleaved(_words(data, version), version)
    drawings = [_drawn(bits, version, mask) for mask in range(len(_MASKS))]
    return min(drawings, key=_penalty)


def path(matrix: Matrix) -> str:
    """Spell the dark squares as the path of an SVG, with the quiet edge of four squares."""
    return "".join(
        f"M{x + 4} {y + 4}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark
    )


def _codewords(version: int) -> int:
    """Count the bytes that a version has altogether."""
    raw = (16 * version + 128) * version + 64
    if version > 1:
        aligned = version // 7 + 2
        raw -= (25 * aligned - 10) * aligned - 55
        if version >= _FIRST_WITH_VERSION:
            raw -= 36
    return raw // 8


def _data_words(version: int) -> int:
    return _codewords(version) - _CORRECTING[version - 1] * _BLOCKS[version - 1]


def _room(version: int) -> int:
    return _data_words(version) - (3 if version >= _LONG_COUNT else 2)


def _words(data: bytes, version: int) -> list[int]:
    """Lay out mode, length, bytes and padding."""
    count = 16 if version >= _LONG_COUNT else 8
    bits = f"0100{len(data):0{count}b}" + "".join(f"{byte:08b}" for byte in data)
    most = _data_words(version) * 8
    bits += "0" * min(4, most - len(bits))
    bits += "0" * (-len(bits) % 8)
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    padding = (0xEC, 0x11)
    return words + [padding[at % 2] for at in range(_data_words(version) - len(words))]


def _interleaved(words: Sequence[int], version: int) -> list[int]:
    """Cut into blocks, add what corrects each, and take turns; gives bits."""
    blocks, correcting = _BLOCKS[version - 1], _CORRECTING[version - 1]
    short, longer = divmod(len(words), blocks)
    cut, start = [], 0
    for number in range(blocks):
        end = start + short + (1 if number >= blocks - longer else 0)
        cut.append(list(words[start:end]))
        start = end
    divisor = _divisor(correcting)
    corrections = [_remainder(block, divisor) for block in cut]
    taken = chain(
        (word for turn in zip_longest(*cut) for word in turn if word is not None),
        chain.from_iterable(zip(*corrections, strict=True)),
    )
    return [word >> bit & 1 for word in taken for bit in range(7, -1, -1)]


def _times(x: int, y: int) -> int:
    product = 0
    for bit in range(7, -1, -1):
        product = product << 1 ^ (product >> 7) * _FIELD
        product ^= (y >> bit & 1) * x
    return product


def _divisor(degree: int) -> list[int]:
    found = [0] * (degree - 1) + [1]
    root = 1
    for _ in range(degree):
        found = [_times(each, root) ^ after for each, after in zip(found, [*found[1:], 0], strict=True)]
        root = _times(root, 2)
    return found


def _remainder(data: Sequence[int], divisor: Sequence[int]) -> list[int]:
    def step(left: list[int], byte: int) -> list[int]:
        factor = byte ^ left[0]
        return [old ^ _times(each, factor) for old, each in zip([*left[1:], 0], divisor, strict=True)]

    return reduce(step, data, [0] * len(divisor))


def _drawn(bits: Sequence[int], version: int, mask: int) -> Matrix:
    size = 17 + 4 * version
    fixed = dict(_patterns(version, size))
    fixed |= dict(_format(mask, size))
    inverts = _MASKS[mask]
    matrix = [[fixed.get((x, y), False) for x in range(size)] for y in range(size)]
    free = ((x, y) for x, y in _way(size) if (x, y) not in fixed)
    # A few squares may be left over, which are light before the mask.
    for (x, y), bit in zip(free, chain(bits, repeat(0)), strict=False):
        matrix[y][x] = bool(bit) ^ (inverts(x, y) == 0)
    return matrix


def _way(size: int) -> Iterator[tuple[int, int]]:
    """Walk over the squares as bits are laid: two columns at a time, up and down, from the right."""
    upwards = True
    for right in [*range(size - 1, 6, -2), *range(5, 0, -2)]:
        for y in range(size - 1, -1, -1) if upwards else range(size):
            yield right, y
            yield right - 1, y
        upwards = not upwards


def _patterns(version: int, size: int) -> Iterator[tuple[tuple[int, int], bool]]:
    """Give all that does not depend on the text."""
    for at in range(size):
        yield (6, at), at % 2 == 0
        yield (at, 6), at % 2 == 0
    edges = _ALIGNED[version - 1]
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    for centre in ((x, y) for x in edges for y in edges if (x, y) not in corners):
        yield from _ring(*centre, reach=2, light={1}, size=size)
    for centre in ((3, 3), (size - 4, 3), (3, size - 4)):
        yield from _ring(*centre, reach=4, light={2, 4}, size=size)
    if version >= _FIRST_WITH_VERSION:
        told = version << 12 | _rest(version, _VERSION, 12)
        for bit in range(18):
            far, near = size - 11 + bit % 3, bit // 3
            yield (far, near), bool(told >> bit & 1)
            yield (near, far), bool(told >> bit & 1)


def _ring(
    x: int, y: int, *, reach: int, light: set[int], size: int
) -> Iterator[tuple[tuple[int, int], bool]]:
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if 0 <= x + dx < size and 0 <= y + dy < size:
                yield (x + dx, y + dy), max(abs(dx), abs(dy)) not in light


def _format(mask: int, size: int) -> Iterator[tuple[tuple[int, int], bool]]:
    told = (_LEVEL_M << 3 | mask) << 10 | _rest(_LEVEL_M << 3 | mask, _FORMAT, 10)
    told ^= _FORMAT_MASK
    beside = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
    apart = [(size - 1 - at, 8) for at in range(8)] + [(8, size - 7 + at) for at in range(7)]
    for bit, (one, other) in enumerate(zip(beside, apart, strict=True)):
        yield one, bool(told >> bit & 1)
        yield other, bool(told >> bit & 1)
    yield (8, size - 8), True


def _rest(value: int, generator: int, degree: int) -> int:
    """Give the remainder of a division of polynomials over two."""
    left = value << degree
    for bit in range(left.bit_length() - 1, degree - 1, -1):
        left ^= (left >> bit & 1) * generator << (bit - degree)
    return left


def _penalty(matrix: Matrix) -> int:
    """Say how hard a drawing is to read: runs, blocks, what looks like a corner, too much of one shade."""
    rows = ["".join("1" if dark else "0" for dark in row) for row in matrix]
    lines = rows + ["".join(column) for column in zip(*rows, strict=True)]
    runs = sum(len(run) - 2 for line in lines for run in _runs(line) if len(run) >= 5)  # noqa: PLR2004 - ISO's.
    corners = sum(
        line.startswith(look, at)
        for line in lines
        for look in ("10111010000", "00001011101")
        for at in range(len(line) - 10)
    )
    blocks = sum(
        above[at] == above[at + 1] == below[at] == below[at + 1]
        for above, below in pairwise(rows)
        for at in range(len(above) - 1)
    )
    dark = sum(row.count("1") for row in rows)
    return runs + 40 * corners + 3 * blocks + 10 * int(abs(dark * 20 - len(rows) ** 2 * 10) / len(rows) ** 2)


def _runs(line: str) -> list[str]:
    return line.replace("01", "0 1").replace("10", "1 0").split()
