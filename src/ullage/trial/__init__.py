"""The blind trial: people work tasks with the teacher or the student, not knowing which.

`design` says who works what with which arm, `log` keeps what happened, `room` lets people talk to
the arms, `report` judges. None of it touches the statement.
"""
