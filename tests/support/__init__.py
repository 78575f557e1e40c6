"""What several test folders share: servers and tiny models that are real, only small."""
