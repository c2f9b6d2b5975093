"""Emergency procedures: what an operator does when something goes out that should not, or does not go."""
