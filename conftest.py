"""Being here puts the project's root on the import path, whichever way pytest is called."""
