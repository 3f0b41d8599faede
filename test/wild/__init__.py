"""Spot Fleet files from public places, with the request that must reach AWS or the messages that the user must get.

`configs/NAME.json` is the file, `NAME.source.txt` its source (account IDs, key names and people are replaced), and
`NAME.expected.json` the expected result, by case:

    options     command-line options besides the file and the lease
    replaced    the user's replacements for placeholders, made before the file is read
    refused     all error messages; `by` condor_annex, which reads the file, or by annexd
    sent        the request that reaches AWS: the file (`inside` these members) `without` and `with` these paths, or
                `exactly` this if the file's own names or comments prevent that
    notes       all other messages

The lease's own members (ClientToken, ValidUntil and the tags htcondor:*) are checked in every case and omitted here.
"""
