"""How the laboratory's teacher and base are made: curriculum, trainer and export."""
