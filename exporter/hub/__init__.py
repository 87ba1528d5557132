"""Where artifacts live: addresses, what is pulled and pushed, the cache, signatures and the card.

address reads an address; stores has one class for each way to reach one, web the bounded reading
that HTTP needs; pull and push move an artifact, cache keeps what verbs read by address, signature
signs and checks a manifest, and card writes the README of a model.
"""
