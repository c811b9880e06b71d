"""The mathematics: each unit holds a formula and, where it has one, its derivative."""
