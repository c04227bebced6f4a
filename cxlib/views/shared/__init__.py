"""What all views are made of: the declaration of a page, its widgets, texts and style."""
