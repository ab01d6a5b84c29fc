"""What engines print when they cannot start: known lines, and the sentence that is made of one."""
