"""What only a file can go through: several processes, kills, full disks, damage. The scenarios and the conformance suite cover the rest."""
