"""Second implementations, written from the contract alone: nothing here imports the program."""
