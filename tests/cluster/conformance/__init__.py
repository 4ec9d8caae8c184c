"""A package, so that pytest ends the mesh of these tests with the last of them, before others install theirs."""
