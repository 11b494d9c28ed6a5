"""ministack as the local AWS, guarded, and with what our system needs and it lacks."""
