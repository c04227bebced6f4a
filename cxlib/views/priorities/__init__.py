"""What to do first: the backlog, what each line rests on, and what mending it would gain."""
