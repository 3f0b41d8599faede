"""What demand relies on in HTCondor, and the parts of annexd that turn idle jobs into machines."""
