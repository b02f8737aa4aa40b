"""Made data of any size: vectors by a seeded recipe, and stores of them."""
