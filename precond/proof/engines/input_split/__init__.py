"""Branch and bound over the inputs."""
