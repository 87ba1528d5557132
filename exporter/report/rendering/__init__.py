"""The form of a report: the page for people, the summary for CI."""
