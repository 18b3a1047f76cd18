"""What browsers load: the layer's scripts and styles, and how a page of it is served."""
