"""A ScaiVault that misbehaves on request, for tests of your own code and of ours."""
