"""The one exception that stands for a user's mistake."""


class InputError(Exception):
    """A file, key or value that the user can mend; its text is one sentence that says how."""
