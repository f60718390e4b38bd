"""Makes every golden file of the tests from torch, diffusers and Pillow. Run `python -m reference.golden`."""
