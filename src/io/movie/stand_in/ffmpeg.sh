#!/bin/sh
# Stands in for ffmpeg in tests: frames are what follows the file's second line, which is run at last.
while [ "$1" != -i ]; do shift; done
file=${2#file:}
tail -n +3 "$file"
eval "$(sed -n 2p "$file")"
