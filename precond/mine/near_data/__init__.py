"""Rules proved in balls around the inputs that support them."""
