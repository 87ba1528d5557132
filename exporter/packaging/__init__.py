"""An artifact in the form that a host of models reads: one host a file.

Each writes into an empty folder of :func:`exporter.writing.folder.new_folder`, or a file in it, and
takes everything it says from the manifest and the graphs. ``exporter.pipelines.package`` puts it in
place.
"""
