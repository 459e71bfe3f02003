from knowledge.loaders import load_documents
from knowledge.loaders.types import LoadLimits, RawFile

CALENDAR = """BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART;TZID=Europe/Berlin:20250410T090000
DTEND:20250410T100000Z
SUMMARY:Chimney sweep\\, yearly
DESCRIPTION:Key is with
  the baker.\\nBring the ladder.
LOCATION:Roof
ATTENDEE;CN="Sweep, John";ROLE=REQ:mailto:john@example.org
ATTENDEE:mailto:ben@example.org
BEGIN:VALARM
DESCRIPTION:Reminder
END:VALARM
END:VEVENT
BEGIN:VTODO
DUE;VALUE=DATE:20250503
SUMMARY:Beans
END:VTODO
END:VCALENDAR
"""


def test_each_event_and_task_is_a_document() -> None:
    event, task = load_documents(RawFile("home.ics", CALENDAR.replace("\n", "\r\n").encode()), LoadLimits())
    assert (event.title, event.row) == ("Chimney sweep, yearly", 1)
    assert event.text.split("\n") == [
        "Start: 2025-04-10 09:00 (20250410T090000)",
        "End: 2025-04-10 10:00 UTC (20250410T100000Z)",
        "Title: Chimney sweep, yearly",
        "Description: Key is with the baker.",
        "Bring the ladder.",
        "Place: Roof",
        "Attendees: Sweep, John, ben@example.org",
    ]
    assert task.text == "Due: 2025-05-03 (20250503)\nTitle: Beans"
