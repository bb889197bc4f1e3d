"""All known critical points of a problem in one table, and where which of them exists."""
