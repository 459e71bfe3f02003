"""Clock of a chat template: the date that templates print into a prompt."""

from datetime import date, datetime


class TemplateClock:
    """Tells templates the time of day on `day`; today where that is None."""

    def __init__(self) -> None:
        self.day: date | None = None
        self.was_read = False
        """Whether a template printed the date since this was last set to False."""

    def strftime_now(self, form: str) -> str:
        """The date and time in a form of `strftime`: the function of this name that templates call."""
        self.was_read = True
        now = datetime.now()
        return (now if self.day is None else datetime.combine(self.day, now.time())).strftime(form)
