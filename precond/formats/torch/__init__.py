"""Programs exported by torch, modules and state dicts, read."""
