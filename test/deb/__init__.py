"""The Debian package in a fresh root of its suite, beside Debian's own condor.  `make deb-test`; needs root."""
