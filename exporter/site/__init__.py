"""An artifact as a static site: the server's page, its graph run in the visitor's browser.

``page/``   what takes the server's place there: api.js asks worker.js, answers.js shapes the answers
``kit/``    pictures to tensors and outputs to explanations, in JavaScript; examples/embed uses it too
``runtime`` brings onnxruntime-web, and ``write`` puts the site together
"""
