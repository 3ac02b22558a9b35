"""Which predictions follow a known rule, and which are to be doubted."""
