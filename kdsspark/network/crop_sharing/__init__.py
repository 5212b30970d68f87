"""Ten crops of one image that share what their first layers have in common."""
