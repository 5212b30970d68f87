"""What each kind of page of the report shows; the templates say how."""
