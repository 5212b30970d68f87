"""What the report shows in pictures: which units and classes, their patches, samples and curves."""
