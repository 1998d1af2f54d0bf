"""The least of Slicer's Sample Data module that registering needs: what was offered, each sample once."""

SOURCES: dict[str, list[dict]] = {}
"""By category, as they were registered."""


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None
    ):
        # The real one takes no other single file, and knows a sample again by how its parts are written.
        assert isinstance(uris, str)
        source = {"sampleName": sampleName, "uris": uris, "fileNames": fileNames, "nodeNames": nodeNames}
        source["customDownloader"] = customDownloader
        registered = SOURCES.setdefault(category, [])
        if str(source) not in map(str, registered):
            registered.append(source)
