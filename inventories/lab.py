"""A mixed lab: one list for each host class, named like its file in group_data/."""

# Put your own machines here and leave out the classes that you do not have.
h800 = ["h800-01.example", "h800-02.example"]
a100 = ["a100-01.example"]
rtx4090 = ["rtx4090-01.example", "rtx4090-02.example"]
rtx3090 = ["rtx3090-01.example"]
v100 = ["v100-01.example"]
cpu = ["cpu-01.example"]
