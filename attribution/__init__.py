"""Attribution: which inputs and internal units moved an output."""
