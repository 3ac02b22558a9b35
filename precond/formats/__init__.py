"""Model files and modules, read into networks and written back.

``load.load`` reads any model; ``onnx.writer.write_onnx`` writes one.  A reader (``onnx.reader``,
``nnet``, ``torch.reader``) looks up each operator of a file in a table of small functions, these
call ``lowering``, and a ``lowering.builder`` collects the layers, simplifies them exactly
(``network.rewrite``) and names them.
"""
