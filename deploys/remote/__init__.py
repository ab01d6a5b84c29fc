"""Programs that run on the provisioned machine, uploaded as one zipapp; standard library only."""
