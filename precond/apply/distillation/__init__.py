"""A fast path that answers early where rules are sure."""
