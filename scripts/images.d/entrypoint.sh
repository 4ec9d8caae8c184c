#!/bin/sh
# As in the images stood in for: options alone are the program's.
case ${1:-} in -*) set -- "$PROGRAM" "$@" ;; esac
exec "$@"
