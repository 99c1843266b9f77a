"""The command line: one thin file a subcommand that parses, calls the API and prints."""
