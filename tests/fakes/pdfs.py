"""Small PDFs written by hand, for tests."""

from collections.abc import Sequence


def pdf(pages: Sequence[str], title: str = "") -> bytes:
    """A PDF with one line of text after another on each page; a page given as "" has none, like a scan."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, text in enumerate(pages):
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        stream = _content(text)
        bodies.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    bodies.append(f"<< /Title ({title}) >>")
    return _assembled(bodies)


def placed_pdf(
    pages: Sequence[Sequence[tuple[int, int, str]]], *, values: Sequence[tuple[str, str]] = (), pictures: bool = False
) -> bytes:
    """A PDF with texts at places (points from the left and the bottom), form values by name, and pages of pictures.

    The form stands on the first page. With `pictures`, a page without texts is a black picture, as in a scan.
    """
    count = len(pages)
    first_field = 4 + 2 * count
    fields = " ".join(f"{first_field + number} 0 R" for number in range(len(values)))
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    bodies = [
        f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [{fields}] /DA (/F1 10 Tf) "
        "/DR << /Font << /F1 3 0 R >> >> >> >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, texts in enumerate(pages):
        annotations = f"/Annots [{fields}]" if number == 0 and values else ""
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {annotations} "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        stream = "\n".join(f"BT /F1 10 Tf {left} {bottom} Td ({text}) Tj ET" for left, bottom, text in texts)
        if pictures and not texts:
            stream = "q 500 0 0 700 40 40 cm BI /W 1 /H 1 /BPC 8 /CS /G ID A EI Q"
        bodies.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    for number, (name, value) in enumerate(values):
        place = f"[300 {700 - 40 * number} 500 {720 - 40 * number}]"
        bodies.append(
            f"<< /Type /Annot /Subtype /Widget /FT /Tx /T ({name}) /V ({value}) /Rect {place} /P 4 0 R /F 4 "
            "/DA (/F1 10 Tf) >>"
        )
    bodies.append("<< >>")
    return _assembled(bodies)


def table_pdf(rows: Sequence[Sequence[str]]) -> bytes:
    """A PDF of one page with a ruled table."""
    left, top, width, height = 50, 800, 120, 18
    right, bottom = left + width * len(rows[0]), top - height * len(rows)
    lines = [f"{left} {top - height * row} m {right} {top - height * row} l S" for row in range(len(rows) + 1)]
    lines += [
        f"{left + width * column} {top} m {left + width * column} {bottom} l S" for column in range(len(rows[0]) + 1)
    ]
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            place = f"{left + width * column + 4} {top - height * number - 13}"
            lines.append(f"BT /F1 10 Tf {place} Td ({cell}) Tj ET")
    stream = "\n".join(lines)
    return _assembled(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            "/Resources << /Font << /F1 3 0 R >> >> /Contents 5 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
            "<< >>",
        ]
    )


def _content(text: str) -> str:
    lines = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").split("\n")
    shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
    return f"BT /F1 11 Tf 50 800 Td {shown} ET" if text else ""


def _assembled(bodies: Sequence[str]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    start = len(out)
    entries = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{entries}".encode()
    out += f"trailer << /Size {len(bodies) + 1} /Root 1 0 R /Info {len(bodies)} 0 R >>\n".encode()
    return bytes(out + f"startxref\n{start}\n%%EOF\n".encode())
