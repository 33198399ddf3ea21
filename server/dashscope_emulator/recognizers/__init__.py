"""The emulator's recognisers: real speech, a script, or marked test audio."""
