"""QR codes, held against drawings of the same texts by another program (python-qrcode 8, same masks)."""

import hashlib

import pytest

from app.domain import qr

ADDRESS = (
    "otpauth://totp/Tocsin%3Aadmin%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    "&issuer=Tocsin&digits=6&period=30"
)


@pytest.mark.parametrize(
    ("text", "size", "digest"),
    [
        ("hello", 21, "99ccedcf0d82e92a"),
        ("a" * 60, 33, "70c1b2272d0a80d7"),
        (ADDRESS, 45, "a690db726315ed8c"),
        ("x" * 200, 57, "c8294f9a437b1546"),
    ],
)
def test_a_text_is_drawn_as_others_draw_it(text, size, digest):
    drawn = qr.squares(text)
    bits = "".join("1" if dark else "0" for row in drawn for dark in row)
    assert (len(drawn), hashlib.sha256(bits.encode()).hexdigest()[:16]) == (size, digest)


def test_what_does_not_fit_is_refused():
    assert len(qr.squares("x" * 213)) == 57
    with pytest.raises(ValueError, match="214 bytes"):
        qr.squares("x" * 214)


def test_the_path_leaves_a_quiet_edge_of_four_squares():
    assert qr.path([[True, False], [False, True]]) == "M4 4h1v1h-1zM5 5h1v1h-1z"
