"""The providers' wire formats, written from the server's side."""
