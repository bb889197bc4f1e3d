"""One self-contained HTML page of a critical point, or of a folder of them: nothing is loaded from anywhere, ever."""
