"""Pictures, drawn on given axes; nothing here solves or reads a file."""
