"""Students that really lost something, each for one reason that is known."""
