from email.message import EmailMessage

from knowledge.loaders import load_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from tests.fakes import office_files


def message(subject: str = "Lieferung des Söfas", body: str = "It comes on Thursday.") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ada <a@example.org>", "b@example.org", subject
    made["Date"] = "Mon, 3 Mar 2025 10:00:00 +0100"
    made.set_content(body)
    return made


def loaded(data: bytes, name: str = "a.eml") -> list[ExtractedDocument]:
    return load_documents(RawFile(name, data), LoadLimits())


def test_a_mail_is_its_subject_head_and_text() -> None:
    (document,) = loaded(message().as_bytes())
    assert document.title == "Lieferung des Söfas"
    assert document.text.strip() == (
        "# Lieferung des Söfas\n\nFrom: Ada <a@example.org>\nTo: b@example.org\nDate: Mon, 03 Mar 2025 10:00:00 +0100"
        "\n\nIt comes on Thursday."
    )


def test_text_is_preferred_and_html_is_read_where_there_is_nothing_else() -> None:
    both = message(body="plain")
    both.add_alternative("<p>rich</p>", subtype="html")
    assert "rich" not in loaded(both.as_bytes())[0].text
    rich = message()
    rich.set_content("<p>It comes on <b>Thursday</b></p><script>no</script>", subtype="html")
    assert loaded(rich.as_bytes())[0].text.endswith("It comes on **Thursday**")


def test_attachments_are_named_and_read_where_their_kind_is_read() -> None:
    made = message()
    made.add_attachment(
        office_files.docx(paragraphs=["Order 4471-S."]), maintype="application", subtype="x", filename="order.docx"
    )
    made.add_attachment(b"PK", maintype="application", subtype="zip", filename="rest.zip")
    made.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="bad.pdf")
    made.add_attachment(message("Forwarded", "inner words"))
    text = loaded(made.as_bytes())[0].text
    assert "## order.docx\n\nOrder 4471-S." in text
    assert "## rest.zip" in text
    assert "## bad.pdf\n\n(The PDF is broken: export it again.)" in text
    assert "# Forwarded" in text
    assert "inner words" in text


def test_each_message_of_a_mailbox_is_a_document() -> None:
    parts = (message("One").as_bytes(), b"no mail", message("Two", ">From here").as_bytes())
    box = b"".join(b"From a@example.org Mon Mar  3 10:00:00 2025\n" + part + b"\n" for part in parts)
    one, bad, two = loaded(box, "box.mbox")
    assert [(one.title, one.row), (two.title, two.row)] == [("One", 1), ("Two", 3)]
    assert bad.problem == "Message 2: This is not a mail: it has no sender, no date and no subject."
    assert two.text.strip().endswith("From here")


def test_broken_headers_and_encodings_cost_themselves() -> None:
    head = b"From: =?utf-8?b?broken\nSubject: ok\nDate: never\nContent-Type: text/plain; charset=nonsense\n"
    data = head + b"\nThe rout\xe9r."
    (document,) = loaded(data)
    assert document.title == "ok"
    assert document.text.endswith("The routér.")
