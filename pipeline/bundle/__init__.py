"""The command `bundle`: trained models with what has to be known of them, in one file."""
