"""The tables and figures of the paper, reproduced on a model and images of your own.

    python -m benchmarks.paper NAME ARTIFACT --data DATA --train TRAIN [--parts PARTS] --out docs

table1  axioms                      figure6  the number of prototypes
table4  accuracy                    figure7  mistakes that muting one prototype corrects
figure5 where prototypes point      free     what needs no annotation

Tan, Zhou and Chen, "Post-hoc Part-prototype Networks" (ICML 2024). One file for each; ``classes``
runs the network and finds every method, once for all of them.
"""
