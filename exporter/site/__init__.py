"""An artifact as a static site: the server's page, its graph run in the visitor's browser.

``page/`` takes the server's place there: api.js asks worker.js, and answers.js shapes the answers.
``kit/`` makes tensors of pictures and explanations of outputs; ``examples/embed`` uses it too.
runtime brings onnxruntime-web, write puts the site together, and show lets people look at it.
"""
