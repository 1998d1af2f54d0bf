"""What a command's exit code says; 0 is success."""

BUG, USER_ERROR = 1, 2
"""An internal error, and something that the user can change."""
