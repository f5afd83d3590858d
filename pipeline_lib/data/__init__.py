"""Data in canonical form: units, coordinates, periods, and the checks at the door. Knows no stage."""
