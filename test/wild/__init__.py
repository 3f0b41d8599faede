"""Spot Fleet files as people have them, from public places: what must reach AWS of each, or which words its user gets.

`configs/NAME.json` is the file, `NAME.source.txt` where it is from (account IDs, key names and people are replaced
there), `NAME.expected.json` what must come of it, by case:

    options     more of the command line than the file and the lease
    replaced    what the user would put in for placeholders, before anything is read
    refused     all that is reported; `by` condor_annex, which reads the file, or by annexd
    sent        what reaches AWS: the file (`inside` of these members) `without` and `with` these paths, or `exactly`
                this, where the file's own names or comments are in the way
    notes       what is said besides

The lease's own (ClientToken, ValidUntil and the tags htcondor:*) is checked in every case, and left out of them.
"""
