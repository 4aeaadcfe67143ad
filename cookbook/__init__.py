"""Recipes: complete programs, one file each (`dtf cookbook copy NAME`). A name with an underscore is no recipe."""
