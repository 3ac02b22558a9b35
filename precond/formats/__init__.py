"""Model files and modules, read into networks and written back.

``load.load`` reads any model; ``onnx_writer.write_onnx`` writes one.  A reader
(``onnx_reader``, ``nnet_reader``, ``torch_reader``) looks up each operator of a file in a
registry of small functions, these call ``lowering`` (and ``lowering_images``), and a
``builder.Builder`` collects the layers, simplifies them exactly (``network.rewrite``) and
names them.
"""
