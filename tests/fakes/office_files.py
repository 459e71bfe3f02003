"""Small office documents, made from their parts with the standard library."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Table = Sequence[Sequence[str]]

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DOCUMENT_TYPE = "application/vnd.openxmlformats-officedocument"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_ODF_NAMES = (
    f'xmlns:office="{_ODF}:office:1.0" xmlns:text="{_ODF}:text:1.0" xmlns:table="{_ODF}:table:1.0" '
    f'xmlns:draw="{_ODF}:drawing:1.0" xmlns:presentation="{_ODF}:presentation:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def zip_file(parts: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive of the parts, in their order; `mimetype` is stored, as ODF and EPUB want it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 12, 0, 0)), content, how)
    return buffer.getvalue()


def docx(*, heading: str = "", paragraphs: Sequence[str] = (), table: Table = (), extra: str = "") -> bytes:
    """A Word document: a heading, paragraphs, a table and raw body XML."""
    body = _word_heading(heading) if heading else ""
    body += "".join(_word_paragraph(text) for text in paragraphs)
    if table:
        rows = "".join(f"<w:tr>{''.join(_word_cell(cell) for cell in row)}</w:tr>" for row in table)
        grid = "<w:gridCol/>" * len(table[0])
        body += f"<w:tbl><w:tblPr/><w:tblGrid>{grid}</w:tblGrid>{rows}</w:tbl>"
    main = f'<w:document xmlns:w="{_WORD}"><w:body>{body}{extra}</w:body></w:document>'
    styles = (
        f'<w:styles xmlns:w="{_WORD}"><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/>'
        "</w:style></w:styles>"
    )
    return zip_file(
        {
            "[Content_Types].xml": _content_types(
                ("/word/document.xml", f"{_DOCUMENT_TYPE}.wordprocessingml.document.main+xml"),
                ("/word/styles.xml", f"{_DOCUMENT_TYPE}.wordprocessingml.styles+xml"),
            ),
            "_rels/.rels": _relations(("officeDocument", "word/document.xml")),
            "word/_rels/document.xml.rels": _relations(("styles", "styles.xml")),
            "word/document.xml": main,
            "word/styles.xml": styles,
        }
    )


def xlsx(sheets: Mapping[str, Sequence[Sequence[str | int | float]]], merged: Sequence[str] = ()) -> bytes:
    """An Excel workbook with inline strings; `merged` names ranges of the first sheet, such as `A1:A2`."""
    names = list(sheets)
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": _content_types(
            ("/xl/workbook.xml", f"{_DOCUMENT_TYPE}.spreadsheetml.sheet.main+xml"),
            *(
                (f"/xl/worksheets/sheet{number}.xml", f"{_DOCUMENT_TYPE}.spreadsheetml.worksheet+xml")
                for number in range(1, len(names) + 1)
            ),
        ),
        "_rels/.rels": _relations(("officeDocument", "xl/workbook.xml")),
        "xl/_rels/workbook.xml.rels": _relations(
            *(("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(names) + 1))
        ),
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(
            f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
            for number, name in enumerate(names, start=1)
        )
        + "</sheets></workbook>",
    }
    for number, name in enumerate(names, start=1):
        parts[f"xl/worksheets/sheet{number}.xml"] = _worksheet(sheets[name], merged if number == 1 else ())
    return zip_file(parts)


def pptx(slides: Sequence[tuple[str, Sequence[str], Table]]) -> bytes:
    """A presentation: for each slide its title, its lines and a table."""
    numbers = range(1, len(slides) + 1)
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": _content_types(
            ("/ppt/presentation.xml", f"{_DOCUMENT_TYPE}.presentationml.presentation.main+xml"),
            *((f"/ppt/slides/slide{number}.xml", f"{_DOCUMENT_TYPE}.presentationml.slide+xml") for number in numbers),
        ),
        "_rels/.rels": _relations(("officeDocument", "ppt/presentation.xml")),
        "ppt/_rels/presentation.xml.rels": _relations(*(("slide", f"slides/slide{number}.xml") for number in numbers)),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{_SLIDE}" xmlns:r="{_OFFICE}"><p:sldIdLst>'
        + "".join(f'<p:sldId id="{255 + number}" r:id="rId{number}"/>' for number in numbers)
        + "</p:sldIdLst></p:presentation>",
    }
    for number, (title, lines, table) in zip(numbers, slides, strict=True):
        parts[f"ppt/slides/slide{number}.xml"] = _slide(title, lines, table)
    return zip_file(parts)


def odt(*, heading: str = "", paragraphs: Sequence[str] = (), table: Table = ()) -> bytes:
    """An OpenDocument text."""
    body = f'<text:h text:outline-level="1">{escape(heading)}</text:h>' if heading else ""
    body += "".join(f"<text:p>{escape(text)}</text:p>" for text in paragraphs)
    body += _odf_table("Table1", table) if table else ""
    return _odf("application/vnd.oasis.opendocument.text", f"<office:text>{body}</office:text>")


def ods(sheets: Mapping[str, Table]) -> bytes:
    """An OpenDocument spreadsheet of text cells."""
    body = "".join(_odf_table(name, table) for name, table in sheets.items())
    return _odf("application/vnd.oasis.opendocument.spreadsheet", f"<office:spreadsheet>{body}</office:spreadsheet>")


def odp(slides: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """An OpenDocument presentation: for each slide its title and its lines."""
    body = "".join(
        f'<draw:page draw:name="page{number}"><draw:frame presentation:class="title"><draw:text-box><text:p>'
        f"{escape(title)}</text:p></draw:text-box></draw:frame><draw:frame><draw:text-box>"
        + "".join(f"<text:p>{escape(line)}</text:p>" for line in lines)
        + "</draw:text-box></draw:frame></draw:page>"
        for number, (title, lines) in enumerate(slides, start=1)
    )
    return _odf("application/vnd.oasis.opendocument.presentation", f"<office:presentation>{body}</office:presentation>")


def epub(title: str, chapters: Mapping[str, str]) -> bytes:
    """An EPUB book: chapters of XHTML by heading."""
    names = [f"c{number}" for number in range(1, len(chapters) + 1)]
    items = "".join(f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    parts: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
        "</container>",
        "book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(title)}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for name, (heading, text) in zip(names, chapters.items(), strict=True):
        parts[f"{name}.xhtml"] = (
            f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{escape(heading)}</title></head>'
            f"<body><h1>{escape(heading)}</h1>{text}</body></html>"
        )
    return zip_file(parts)


def _word_heading(text: str) -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>'


def _word_paragraph(text: str) -> str:
    return f'<w:p><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def _word_cell(text: str) -> str:
    return f"<w:tc><w:tcPr/>{_word_paragraph(text)}</w:tc>"


def _worksheet(rows: Sequence[Sequence[str | int | float]], merged: Sequence[str]) -> str:
    data = "".join(
        f'<row r="{number}">'
        + "".join(_sheet_cell(f"{chr(ord('A') + column)}{number}", value) for column, value in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, start=1)
    )
    areas = "".join(f'<mergeCell ref="{area}"/>' for area in merged)
    merges = f"<mergeCells>{areas}</mergeCells>" if merged else ""
    return f'<worksheet xmlns="{_SHEET}"><sheetData>{data}</sheetData>{merges}</worksheet>'


def _sheet_cell(place: str, value: str | int | float) -> str:
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else ""
    return f'<c r="{place}"><v>{value}</v></c>'


def _slide(title: str, lines: Sequence[str], table: Table) -> str:
    shapes = _shape(2, '<p:ph type="title"/>', [title]) + _shape(3, '<p:ph idx="1"/>', lines)
    if table:
        rows = "".join(
            '<a:tr h="1">'
            + "".join(f"<a:tc><a:txBody><a:bodyPr/>{_slide_paragraph(cell)}</a:txBody></a:tc>" for cell in row)
            + "</a:tr>"
            for row in table
        )
        grid = '<a:gridCol w="1"/>' * len(table[0])
        shapes += (
            '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="t"/><p:cNvGraphicFramePr/><p:nvPr/>'
            '</p:nvGraphicFramePr><p:xfrm><a:off x="0" y="900"/><a:ext cx="1" cy="1"/></p:xfrm><a:graphic>'
            '<a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/table">'
            f"<a:tbl><a:tblPr/><a:tblGrid>{grid}</a:tblGrid>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
        )
    return (
        f'<p:sld xmlns:p="{_SLIDE}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/>'
        f"<p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:sld>"
    )


def _shape(number: int, kind: str, lines: Sequence[str]) -> str:
    text = "".join(_slide_paragraph(line) for line in lines)
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="s{number}"/><p:cNvSpPr/><p:nvPr>{kind}</p:nvPr></p:nvSpPr>'
        f'<p:spPr><a:xfrm><a:off x="0" y="{number}00"/><a:ext cx="1" cy="1"/></a:xfrm></p:spPr>'
        f"<p:txBody><a:bodyPr/>{text}</p:txBody></p:sp>"
    )


def _slide_paragraph(text: str) -> str:
    return f"<a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p>"


def _odf(kind: str, body: str) -> bytes:
    content = f'<office:document-content {_ODF_NAMES} office:version="1.3"><office:body>{body}</office:body>'
    manifest = (
        f'<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0"><manifest:file-entry manifest:full-path="/" '
        f'manifest:media-type="{kind}"/><manifest:file-entry manifest:full-path="content.xml" '
        'manifest:media-type="text/xml"/></manifest:manifest>'
    )
    return zip_file(
        {
            "mimetype": kind,
            "META-INF/manifest.xml": manifest,
            "content.xml": f"{content}</office:document-content>",
        }
    )


def _odf_table(name: str, table: Table) -> str:
    rows = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in table
    )
    return f'<table:table table:name="{escape(name)}">{rows}</table:table>'


def _content_types(*overrides: tuple[str, str]) -> str:
    parts = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in overrides)
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{parts}</Types>'
    )


def _relations(*targets: tuple[str, str]) -> str:
    parts = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{parts}</Relationships>'
