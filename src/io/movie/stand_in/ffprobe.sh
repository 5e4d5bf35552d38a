#!/bin/sh
# Stands in for ffprobe in tests: the answer is the file's first line.
for file; do :; done
answer=$(head -n 1 "${file#file:}")
case $answer in
    "fail "*) echo "${answer#fail }" >&2; exit 1 ;;
    *) printf '%s\n' "$answer" ;;
esac
