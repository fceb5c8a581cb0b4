"""HOW is it used? The pages of the documentation, and the script that writes the generated part of them."""
