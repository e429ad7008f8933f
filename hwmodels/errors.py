"""The exceptions that stand for a user's mistake."""


class InputError(Exception):
    """A file, key or value that the user can mend; its text is one sentence that says how."""


class DesignError(InputError):
    """A design cannot compute a table of work.

    key   the design's parameter that stands in the way; "" if none does
    """

    def __init__(self, key: str, text: str):
        super().__init__(text)
        self.key = key
