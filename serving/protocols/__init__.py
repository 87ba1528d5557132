"""Protocols of others: what their messages say, and the answers in their shapes.

kserve is KServe's first protocol; oip is the second, the Open Inference Protocol, with its messages
in oip_messages and its tensors in oip_tensors. The routes that carry them are in web/.
"""
