"""The command `stream`: phases while the operation goes on, from a camera, an address or a file."""
