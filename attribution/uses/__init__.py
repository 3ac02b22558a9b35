"""What influence is good for: experts, profiles, removal curves, bugs."""
