"""Why inputs are misclassified, and which causes explain most errors."""
