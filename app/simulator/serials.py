"""Names made from serial numbers.

They look random and differ for different serials, without asking the system for randomness, which
costs as much as all the rest of taking a message: it hands the interpreter's lock to the server's
own threads and waits for it again.
"""

_SPREAD_64 = 0x9E3779B97F4A7C15
_SPREAD_128 = 0x9E3779B97F4A7C15F39CC0605CEDC835


def token_of(serial: int) -> str:
    """Give 16 hex digits."""
    return f"{serial * _SPREAD_64 & (2**64 - 1):016x}"


def uuid_of(serial: int) -> str:
    """Give something with the shape of a random UUID."""
    digits = f"{serial * _SPREAD_128 & (2**128 - 1):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
