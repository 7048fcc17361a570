"""What goes: scores, masks, holding them, planning and shrinking."""
