"""What is judged: the pictures of one class through the network, and one method's word on them.

subject  the artifact, opened              alterations  how pictures are changed for the network
run      the pictures through the network  runs         further runs, for metrics that ask for them
case     what one method says of them      metric       how a metric is described
"""
