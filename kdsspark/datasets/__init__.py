"""From folders, manifests, archives and tables to listings of images (driver)."""
