"""condor_annex: turn options and a config.json into one ClassAd, and annexd's reply into one line.

It starts once per request, so it imports little: never boto3, and HTCondor's bindings only when it needs to query
HTCondor.
"""
