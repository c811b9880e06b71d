"""The mathematics: each file holds one kind of formula, with its derivative if it has one."""
