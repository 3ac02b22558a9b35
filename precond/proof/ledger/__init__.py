"""Every verdict by the content of its claim, in SQLite."""
