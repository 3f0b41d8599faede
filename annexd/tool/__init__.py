"""condor_annex: options and a config.json become one ClassAd, and annexd's answer one line.

It is started for every request, so what it imports is counted: never boto3, and HTCondor's bindings only once
there is something to ask HTCondor.
"""
