"""Reference pages made from the tables of the package."""
